# The torch operators, through LibTorch's stable ABI: one object serves every torch from 2.10 on.
# No find_package(Torch): on a CUDA build of torch it demands a whole CUDA toolkit.
if(NOT FIRE_TORCH_INCLUDE)
  message(FATAL_ERROR "FIRE_TORCH=ON needs FIRE_TORCH_INCLUDE, the include folder of an installed torch; "
    "FIRE_TORCH=OFF builds without the torch operators")
endif()
if(NOT FIRE_TORCH_LIBRARY_DIR)
  get_filename_component(FIRE_TORCH_LIBRARY_DIR "${FIRE_TORCH_INCLUDE}/../lib" ABSOLUTE)
endif()

set(torch_version_header "${FIRE_TORCH_INCLUDE}/torch/headeronly/version.h")
if(NOT EXISTS "${torch_version_header}")
  message(FATAL_ERROR
    "FIRE_TORCH_INCLUDE=${FIRE_TORCH_INCLUDE}: no torch/headeronly/version.h; expected torch 2.10 or newer; "
    "FIRE_TORCH=OFF builds without the torch operators")
endif()
file(STRINGS "${torch_version_header}" FIRE_TORCH_VERSION REGEX "define TORCH_VERSION_(MAJOR|MINOR|PATCH)")
list(TRANSFORM FIRE_TORCH_VERSION REPLACE "[^0-9]*([0-9]+).*" "\\1")
list(JOIN FIRE_TORCH_VERSION "." FIRE_TORCH_VERSION)
if(FIRE_TORCH_VERSION VERSION_LESS 2.10)
  message(FATAL_ERROR "torch ${FIRE_TORCH_VERSION} at ${FIRE_TORCH_INCLUDE}: expected 2.10 or newer; "
    "FIRE_TORCH=OFF builds without the torch operators")
endif()

add_library(fire_sampling_torch_cpu SHARED csrc/torch/cpu.cpp)
fire_compile_options(fire_sampling_torch_cpu)
target_compile_definitions(fire_sampling_torch_cpu PRIVATE
  TORCH_TARGET_VERSION=0x020A000000000000 TORCH_STABLE_ONLY)
target_compile_options(fire_sampling_torch_cpu PRIVATE "-ffile-prefix-map=${FIRE_TORCH_INCLUDE}/=")
target_include_directories(fire_sampling_torch_cpu SYSTEM PRIVATE "${FIRE_TORCH_INCLUDE}")
target_link_libraries(fire_sampling_torch_cpu PRIVATE fire_sampling)
foreach(name torch torch_cpu c10)
  target_link_libraries(fire_sampling_torch_cpu PRIVATE "${FIRE_TORCH_LIBRARY_DIR}/lib${name}.so")
endforeach()
# Whoever loads the operators has loaded torch already, so no folder of this machine is written into them.
set_target_properties(fire_sampling_torch_cpu PROPERTIES INSTALL_RPATH "")
install(TARGETS fire_sampling_torch_cpu LIBRARY DESTINATION fire_sampling COMPONENT python EXCLUDE_FROM_ALL)
