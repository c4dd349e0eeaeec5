# The CUDA backend: finds nvcc, and builds kernels/ into the static library fire_sampling::cuda.
#
# FIRE_CUDA_BUILD tells what came of it, for `python -m fire_sampling info`.
set(FIRE_CUDA auto CACHE STRING "CUDA backend: auto (where nvcc is found), on or off")
set(FIRE_CUDA_ARCHITECTURES "80;86;90;100;120" CACHE STRING
  "Compute capabilities to build for, without the dot, the oldest first; first and last also as PTX, for devices between
  and to come. Or native")
set(FIRE_TORCH_CUDA "" CACHE STRING "The CUDA of the torch that will load the operators, to compare with nvcc's")
option(FIRE_CUDA_LINEINFO "Keep the kernels' source lines for profilers and compute-sanitizer" OFF)
option(FIRE_CUDA_WERROR "Treat the warnings of nvcc and ptxas, spilled registers among them, as errors" ${FIRE_TESTS})
if(NOT FIRE_CUDA MATCHES "^(auto|on|off)$")
  message(FATAL_ERROR "FIRE_CUDA=${FIRE_CUDA}: expected auto, on or off")
endif()

# The plan is host code without CUDA: every build can show which launch a shape gets.
add_library(fire_sampling_plan OBJECT kernels/plan.cpp)
fire_compile_options(fire_sampling_plan)
target_include_directories(fire_sampling_plan PUBLIC
  ${PROJECT_SOURCE_DIR} ${PROJECT_SOURCE_DIR}/csrc ${PROJECT_SOURCE_DIR}/csrc/include)

set(FIRE_CUDA_BUILD "no kernels in this build")
if(FIRE_CUDA STREQUAL "off")
  return()
endif()

# CMake itself looks at CMAKE_CUDA_COMPILER, CUDACXX and PATH.
find_program(FIRE_NVCC nvcc HINTS ENV CUDA_HOME ENV CUDA_PATH PATH_SUFFIXES bin)
mark_as_advanced(FIRE_NVCC)
if(FIRE_NVCC AND NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  set(ENV{CUDACXX} ${FIRE_NVCC})
endif()
# Linking one program is part of CMake's test of nvcc, which looks in lib64; the toolkit's PyPI packages have lib.
foreach(nvcc IN ITEMS "${CMAKE_CUDA_COMPILER}" "$ENV{CUDACXX}")
  get_filename_component(toolkit "${nvcc}" DIRECTORY)
  if(nvcc AND EXISTS "${toolkit}/../lib/libcudart_static.a")
    set(ENV{LIBRARY_PATH} "${toolkit}/../lib:$ENV{LIBRARY_PATH}")
  endif()
endforeach()
include(CheckLanguage)
check_language(CUDA)

# What keeps nvcc from building for the architectures asked for; empty where nothing does.
set(refusal "")
if(NOT CMAKE_CUDA_COMPILER)
  set(refusal "no nvcc that works was found by CUDACXX, CUDA_HOME, CUDA_PATH or PATH")
elseif(NOT FIRE_CUDA_ARCHITECTURES STREQUAL "native")
  execute_process(COMMAND ${CMAKE_CUDA_COMPILER} --list-gpu-arch OUTPUT_VARIABLE known)
  foreach(architecture IN LISTS FIRE_CUDA_ARCHITECTURES)
    string(REGEX REPLACE "-(real|virtual)$" "" architecture ${architecture})
    if(NOT known MATCHES "compute_${architecture}[^0-9]")
      string(CONCAT refusal "${CMAKE_CUDA_COMPILER} cannot build for ${architecture}, which is in "
        "FIRE_CUDA_ARCHITECTURES=${FIRE_CUDA_ARCHITECTURES} (CUDA 12.8 or newer knows all of the default)")
    endif()
  endforeach()
endif()
if(refusal AND FIRE_CUDA STREQUAL "on")
  message(FATAL_ERROR "FIRE_CUDA=on: ${refusal}; FIRE_CUDA=off builds for the CPU only")
elseif(refusal)
  message(STATUS "FIRE_CUDA=auto: ${refusal}; building for the CPU only")
  return()
endif()

# 80;90;100 becomes 80;90-real;100: machine code for each, and PTX of the first and the last. A driver translates PTX for
# devices whose code is not here: the first's for those between (8.7, 11.0), the last's for newer ones.
set(CMAKE_CUDA_ARCHITECTURES ${FIRE_CUDA_ARCHITECTURES})
list(LENGTH CMAKE_CUDA_ARCHITECTURES count)
if(count GREATER 2)
  math(EXPR last_but_one "${count} - 2")
  list(TRANSFORM CMAKE_CUDA_ARCHITECTURES REPLACE "^[0-9]+$" "\\0-real" FOR 1 ${last_but_one})
endif()
# Whoever links the kernels chooses the runtime: the real one, or the tests' stand-in.
set(CMAKE_CUDA_RUNTIME_LIBRARY None)

enable_language(CUDA)
include(cmake/cudart.cmake)
list(JOIN FIRE_CUDA_ARCHITECTURES ", " FIRE_CUDA_BUILD)
set(FIRE_CUDA_BUILD "kernels for ${FIRE_CUDA_BUILD} (CUDA ${CMAKE_CUDA_COMPILER_VERSION})")
message(STATUS "FIRE_CUDA=${FIRE_CUDA}: building ${FIRE_CUDA_BUILD}")
# A driver runs machine code of its own major version of CUDA or an older one; PTX of a newer minor version it refuses.
string(REGEX MATCH "^[0-9]+" nvcc_major "${CMAKE_CUDA_COMPILER_VERSION}")
string(REGEX MATCH "^[0-9]+" torch_major "${FIRE_TORCH_CUDA}")
if(torch_major AND nvcc_major GREATER torch_major)
  message(WARNING "nvcc is of CUDA ${CMAKE_CUDA_COMPILER_VERSION}, torch of CUDA ${FIRE_TORCH_CUDA}: a driver that is new "
    "enough for torch may refuse the kernels. An nvcc of CUDA ${torch_major} builds what runs wherever torch does")
endif()

# fire_add_kernels(TARGET ARCHITECTURES…): the kernels as a static library, without a CUDA runtime.
function(fire_add_kernels target)
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/kernels/*.cu ${PROJECT_SOURCE_DIR}/kernels/*.cpp)
  list(REMOVE_ITEM sources ${PROJECT_SOURCE_DIR}/kernels/plan.cpp)
  add_library(${target} STATIC ${sources} $<TARGET_OBJECTS:fire_sampling_plan>)
  fire_compile_options(${target})
  target_compile_features(${target} PUBLIC cxx_std_17)
  set_target_properties(${target} PROPERTIES CUDA_ARCHITECTURES "${ARGN}" CUDA_STANDARD 17 CUDA_STANDARD_REQUIRED ON)
  target_include_directories(${target}
    PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/csrc/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>
    PRIVATE ${PROJECT_SOURCE_DIR})
  target_include_directories(${target} SYSTEM PRIVATE
    $<$<COMPILE_LANGUAGE:CXX>:${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES}>)
  # As on the host: only what is written as a fused multiply-add is one.
  target_compile_options(${target} PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:--fmad=false
    -Xptxas=-warn-spills,-warn-lmem-usage $<$<BOOL:${FIRE_CUDA_LINEINFO}>:-lineinfo>
    $<$<BOOL:${FIRE_CUDA_WERROR}>:-Werror=all-warnings -Xptxas=-Werror>>)
endfunction()

fire_add_kernels(fire_sampling_cuda ${CMAKE_CUDA_ARCHITECTURES})
add_library(fire_sampling::cuda ALIAS fire_sampling_cuda)
set_target_properties(fire_sampling_cuda PROPERTIES EXPORT_NAME cuda)
target_link_libraries(fire_sampling_cuda PUBLIC CUDA::cudart_static)
