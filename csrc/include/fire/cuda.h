// The C++ API on a GPU: the functions of sampling.h with every pointer of the batch and of the outputs in the memory of
// the calling thread's current device, and the same bits as on a CPU; log-probabilities within 1e-6 · max(1, |value|).
//
// A call checks its arguments, launches one kernel on `stream` and returns: no synchronisation, no allocation, nothing
// read on the host, so a captured graph replays with whatever steps, slots and records then lie in memory.
#pragma once

#include <cstdint>

#include "fire/sampling.h"
#include "fire/shards.h"

struct CUstream_st;  // cudaStream_t, for callers without the toolkit's headers

namespace fire {

using CudaStream = CUstream_st*;

// Makes a device the calling thread's current one in the CUDA runtime that the library is linked with, and leaves it
// so: for a program that chooses its devices by another runtime. Where it is current already nothing is set, and no
// context made. Throws std::runtime_error, with CUDA's own words, where there is no such device.
void UseCudaDevice(int device);

// All below throw std::invalid_argument for a batch that names too few records, no memory or a vocabulary out of range,
// and std::runtime_error, with CUDA's own words, where the device refuses the launch.
void SampleCuda(const Batch& batch, const SampleOutputs& outputs, CudaStream stream);

// SampleCuda, and the support that each token was drawn from.
void SampleWithSupportCuda(const Batch& batch, const SupportOutputs& support, const SampleOutputs& outputs,
                           CudaStream stream);

void SampleGroupCuda(const Batch& batch, int64_t size, const SampleOutputs& outputs, CudaStream stream);

void SampleCodedCuda(const Batch& batch, const uint64_t* code, int64_t code_stride, int64_t* token, uint64_t* next_code,
                     CudaStream stream);

void FirstCodeCuda(const Batch& batch, uint64_t* code, CudaStream stream);

// out[r, i] = x / T where kept, −inf elsewhere. `out_stride` ≥ vocabulary, in elements.
void ProcessLogitsCuda(const Batch& batch, float* out, int64_t out_stride, CudaStream stream);

// Hot rows only, in place. `logits` is batch.logits, writable and float32; rows must not overlap.
void HeatLogitsCuda(const Batch& batch, float* logits, CudaStream stream);

// ln of the probability with which `sample` would have drawn token[r]; −inf where it never would.
void LogProbCuda(const Batch& batch, const int64_t* token, int64_t token_stride, float* logprob, CudaStream stream);

// grad_logits[r, i] = grad[r] · ∂ logprob[r] / ∂ logits[r, i], in the logits' own type.
void LogProbBackwardCuda(const Batch& batch, const int64_t* token, int64_t token_stride, const float* grad,
                         int64_t grad_stride, void* grad_logits, int64_t grad_logits_stride, CudaStream stream);

// ln of the probability of each token, over the support given and over the whole row, at a temperature. Nothing is
// refused here: a row without a valid support and temperature has kStatusRefused, log-probabilities NaN and no
// gradient.
void SupportLogProbCuda(const SupportBatch& batch, const SupportLogProbOutputs& outputs, CudaStream stream);

// As SupportLogProbBackwardCpu, but that nothing is refused: a row that was has no gradient, by its masses.
void SupportLogProbBackwardCuda(const SupportBatch& batch, const SupportMasses* masses, const float* grad,
                                const float* full_grad, void* grad_logits, int64_t grad_logits_stride,
                                CudaStream stream);

// The functions of shards.h. No state is read on the host: a row whose answers take more slots than the round has
// answers as far as they go, and takes none in.
void ShardEntriesCuda(const ShardBatch& shard, int64_t count, uint64_t* entries, CudaStream stream);

void ShardBeginCuda(const Batch& batch, const ShardEntries& entries, const ShardQuery& query, ShardState* state,
                    CudaStream stream);

void ShardAnswerCuda(const ShardBatch& shard, const ShardState* state, const ShardRound& round, int64_t rank,
                     ShardAnswer* answers, CudaStream stream);

// Here a row whose answer does not fit the slots stays as it is, and still asks.
void ShardTakeCuda(ShardState* state, int64_t rows, const ShardEntries& entries, const ShardRound& round,
                   const ShardAnswer* answers, CudaStream stream);

void ShardFinishCuda(const ShardState* state, int64_t rows, const SampleOutputs& outputs, CudaStream stream);

void ShardProcessCuda(const ShardBatch& shard, const ShardState* state, float* out, int64_t out_stride,
                      CudaStream stream);

void ShardLogProbBackwardCuda(const ShardBatch& shard, const ShardState* state, const float* grad, int64_t grad_stride,
                              void* grad_logits, int64_t grad_logits_stride, CudaStream stream);

void ShardHeatCuda(const ShardBatch& shard, const ShardState* state, float* logits, CudaStream stream);

}  // namespace fire
