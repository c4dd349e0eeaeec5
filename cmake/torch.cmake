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

# fire_add_operators(TARGET SOURCE…): a shared object that torch.ops.load_library takes.
function(fire_add_operators target)
  add_library(${target} SHARED ${ARGN})
  fire_compile_options(${target})
  target_compile_definitions(${target} PRIVATE TORCH_TARGET_VERSION=0x020A000000000000 TORCH_STABLE_ONLY)
  target_compile_options(${target} PRIVATE "-ffile-prefix-map=${FIRE_TORCH_INCLUDE}/=")
  target_include_directories(${target} SYSTEM PRIVATE "${FIRE_TORCH_INCLUDE}")
  foreach(name torch torch_cpu c10)
    target_link_libraries(${target} PRIVATE "${FIRE_TORCH_LIBRARY_DIR}/lib${name}.so")
  endforeach()
  # Whoever loads the operators has loaded torch already, so no folder of this machine is written into them.
  set_target_properties(${target} PROPERTIES INSTALL_RPATH "")
endfunction()

fire_add_operators(fire_sampling_torch_cpu csrc/torch/cpu.cpp)
target_link_libraries(fire_sampling_torch_cpu PRIVATE fire_sampling)
install(TARGETS fire_sampling_torch_cpu LIBRARY DESTINATION fire_sampling COMPONENT python EXCLUDE_FROM_ALL)

if(TARGET fire_sampling_cuda)
  fire_add_operators(fire_sampling_torch_cuda csrc/torch/cuda.cpp)
  target_link_libraries(fire_sampling_torch_cuda PRIVATE fire_sampling_cuda)
  target_include_directories(fire_sampling_torch_cuda SYSTEM PRIVATE ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
  # In torch's CUDA build it is libtorch.so, of which nothing is used by name, that brings libtorch_cuda. And the static
  # CUDA runtime stays this object's own: exported, its functions would mix with those of the runtime that torch loads.
  target_link_options(fire_sampling_torch_cuda PRIVATE -Wl,--no-as-needed -Wl,--exclude-libs,ALL)
  install(TARGETS fire_sampling_torch_cuda LIBRARY DESTINATION fire_sampling COMPONENT python EXCLUDE_FROM_ALL)
endif()
