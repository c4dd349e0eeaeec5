// Variables of kernels, by the host's shadow of each.
#include "tests/simulator/runtime/runtime.h"

namespace {

using fire::simulator::Call;
using fire::simulator::Module;
using fire::simulator::Runtime;
using fire::simulator::Variable;

cudaError_t FindVariable(Runtime& runtime, const void* shadow, const Variable** variable) {
  const auto symbol = runtime.symbols.find(shadow);
  if (symbol == runtime.symbols.end()) return cudaErrorInvalidSymbol;
  const Module* module = nullptr;
  const cudaError_t missing = runtime.Load(runtime.Current(), *symbol->second.binary, &module);
  if (missing != cudaSuccess) return missing;
  *variable = module->FindVariable(symbol->second.name);
  return *variable ? cudaSuccess : cudaErrorInvalidSymbol;
}

// The address of `bytes` from `offset` on within a variable.
cudaError_t WithinVariable(Runtime& runtime, const void* shadow, size_t bytes, size_t offset, void** address) {
  const Variable* variable = nullptr;
  const cudaError_t error = FindVariable(runtime, shadow, &variable);
  if (error != cudaSuccess) return error;
  if (offset > variable->size || bytes > variable->size - offset) return cudaErrorInvalidValue;
  *address = static_cast<char*>(variable->address) + offset;
  return cudaSuccess;
}

}  // namespace

extern "C" {

cudaError_t cudaGetSymbolAddress(void** address, const void* symbol) {
  return Call([&](Runtime& runtime) { return WithinVariable(runtime, symbol, 0, 0, address); });
}

cudaError_t cudaGetSymbolSize(size_t* bytes, const void* symbol) {
  return Call([&](Runtime& runtime) {
    const Variable* variable = nullptr;
    const cudaError_t error = FindVariable(runtime, symbol, &variable);
    if (error == cudaSuccess) *bytes = variable->size;
    return error;
  });
}

cudaError_t cudaMemcpyToSymbolAsync(const void* symbol, const void* from, size_t bytes, size_t offset,
                                    cudaMemcpyKind kind, cudaStream_t stream) {
  return Call([&](Runtime& runtime) {
    void* to = nullptr;
    const cudaError_t error = WithinVariable(runtime, symbol, bytes, offset, &to);
    return error != cudaSuccess ? error : cudaMemcpyAsync(to, from, bytes, kind, stream);
  });
}

cudaError_t cudaMemcpyFromSymbolAsync(void* to, const void* symbol, size_t bytes, size_t offset, cudaMemcpyKind kind,
                                      cudaStream_t stream) {
  return Call([&](Runtime& runtime) {
    void* from = nullptr;
    const cudaError_t error = WithinVariable(runtime, symbol, bytes, offset, &from);
    return error != cudaSuccess ? error : cudaMemcpyAsync(to, from, bytes, kind, stream);
  });
}

cudaError_t cudaMemcpyToSymbol(const void* symbol, const void* from, size_t bytes, size_t offset, cudaMemcpyKind kind) {
  return Call([&](Runtime& runtime) {
    void* to = nullptr;
    const cudaError_t error = WithinVariable(runtime, symbol, bytes, offset, &to);
    return error != cudaSuccess ? error : cudaMemcpy(to, from, bytes, kind);
  });
}

cudaError_t cudaMemcpyFromSymbol(void* to, const void* symbol, size_t bytes, size_t offset, cudaMemcpyKind kind) {
  return Call([&](Runtime& runtime) {
    void* from = nullptr;
    const cudaError_t error = WithinVariable(runtime, symbol, bytes, offset, &from);
    return error != cudaSuccess ? error : cudaMemcpy(to, from, bytes, kind);
  });
}

}  // extern "C"
