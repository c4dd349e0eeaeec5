// What nvcc's host code calls before main: containers of device code, kernels and variables are named; nothing is read
// before it is first used.
#include <cstdio>
#include <cstdlib>
#include <exception>

#include "tests/simulator/runtime/runtime.h"

using fire::simulator::Binary;
using fire::simulator::Runtime;

extern "C" {

void** __cudaRegisterFatBinary(void* wrapper) {
  Runtime& runtime = Runtime::Get();
  const std::lock_guard lock(runtime.mutex);
  try {
    runtime.binaries.push_back({fire::simulator::ReadPtxImages(wrapper)});
  } catch (const std::exception& error) {
    std::fprintf(stderr, "simulated device: %s\n", error.what());
    std::abort();
  }
  return reinterpret_cast<void**>(&runtime.binaries.back());
}

void __cudaRegisterFatBinaryEnd(void**) {}
void __cudaUnregisterFatBinary(void**) {}
char __cudaInitModule(void**) { return 1; }

void __cudaRegisterFunction(void** binary, const char* stub, char*, const char* name, int, uint3*, uint3*, dim3*, dim3*,
                            int*) {
  Runtime& runtime = Runtime::Get();
  const std::lock_guard lock(runtime.mutex);
  runtime.kernels.insert({stub, {reinterpret_cast<Binary*>(binary), name}});
}

void __cudaRegisterVar(void** binary, char* shadow, char*, const char* name, int, size_t, int, int) {
  Runtime& runtime = Runtime::Get();
  const std::lock_guard lock(runtime.mutex);
  runtime.symbols.insert({shadow, {reinterpret_cast<Binary*>(binary), name}});
}

cudaError_t __cudaGetKernel(cudaKernel_t* handle, const void* stub) {
  Runtime& runtime = Runtime::Get();
  const std::lock_guard lock(runtime.mutex);
  const fire::simulator::Kernel* kernel = runtime.FindKernel(stub);
  if (!kernel) return cudaErrorInvalidDeviceFunction;
  *handle = reinterpret_cast<cudaKernel_t>(const_cast<fire::simulator::Kernel*>(kernel));
  return cudaSuccess;
}

}  // extern "C"
