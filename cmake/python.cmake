# The pybind11 module behind the NumPy entry; it needs no torch.
find_package(Python REQUIRED COMPONENTS Interpreter Development.Module)
find_package(pybind11 CONFIG REQUIRED)

pybind11_add_module(fire_sampling_native NO_EXTRAS csrc/python/native.cpp)
set_target_properties(fire_sampling_native PROPERTIES OUTPUT_NAME _native)
fire_compile_options(fire_sampling_native)
target_link_libraries(fire_sampling_native PRIVATE fire_sampling fire_sampling_plan)
target_compile_definitions(fire_sampling_native PRIVATE
  FIRE_VERSION="${PROJECT_VERSION}" FIRE_TORCH_VERSION="${FIRE_TORCH_VERSION}" FIRE_CUDA_BUILD="${FIRE_CUDA_BUILD}")
install(TARGETS fire_sampling_native LIBRARY DESTINATION fire_sampling COMPONENT python EXCLUDE_FROM_ALL)
