# The target CUDA::cudart_static. CMake's own package defines it, but does not know the layout of the toolkit's PyPI
# packages, where libcudart_static.a is in lib/ and there is no libcudart.so.
if(NOT TARGET CUDA::cudart_static)
  find_package(CUDAToolkit QUIET)
endif()
if(NOT TARGET CUDA::cudart_static)
  set(fire_toolkit HINTS "${CMAKE_CUDA_COMPILER_TOOLKIT_ROOT}" "${CUDAToolkit_ROOT}"
    ENV CUDAToolkit_ROOT ENV CUDA_HOME ENV CUDA_PATH)
  find_library(FIRE_CUDART_STATIC cudart_static ${fire_toolkit} PATH_SUFFIXES lib64 lib)
  find_path(FIRE_CUDART_INCLUDE cuda_runtime_api.h ${fire_toolkit} PATH_SUFFIXES include)
  mark_as_advanced(FIRE_CUDART_STATIC FIRE_CUDART_INCLUDE)
  if(NOT FIRE_CUDART_STATIC OR NOT FIRE_CUDART_INCLUDE)
    message(FATAL_ERROR "fire_sampling: the static CUDA runtime was not found; set CUDAToolkit_ROOT to the folder that "
      "holds lib/libcudart_static.a (nvidia-cuda-runtime on PyPI has it)")
  endif()
  find_package(Threads REQUIRED)
  add_library(CUDA::cudart_static STATIC IMPORTED GLOBAL)
  set_target_properties(CUDA::cudart_static PROPERTIES IMPORTED_LOCATION "${FIRE_CUDART_STATIC}"
    INTERFACE_INCLUDE_DIRECTORIES "${FIRE_CUDART_INCLUDE}" INTERFACE_LINK_LIBRARIES "Threads::Threads;${CMAKE_DL_LIBS};rt")
endif()
