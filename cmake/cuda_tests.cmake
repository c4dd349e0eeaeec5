# The tests of the kernels. They need nvcc, but no GPU: the simulated device runs the kernels as PTX, of one architecture
# with clusters and one without.
add_subdirectory(tests/simulator)
fire_add_kernels(fire_sampling_cuda_ptx 80-virtual 90-virtual)
target_link_libraries(fire_sampling_cuda_ptx PUBLIC simulated_cudart)

# The gates name loops of the machine code by their source lines.
target_compile_options(fire_sampling_cuda PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:-lineinfo>)

foreach(folder cuda gates)
  if(EXISTS ${PROJECT_SOURCE_DIR}/tests/${folder}/CMakeLists.txt)
    add_subdirectory(tests/${folder})
  endif()
endforeach()
if(FIRE_TORCH)
  add_subdirectory(tests/torch_cuda)
endif()
