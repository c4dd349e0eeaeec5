// The container of device code that nvcc embeds in a host program.
#pragma once

#include <string_view>
#include <vector>

namespace fire::simulator {

struct PtxImage {
  int architecture = 0;   // 90 of `.target sm_90`
  bool exact = false;     // sm_90a: runs on compute capability 9.0 and no other
  std::string_view text;  // in the container's own memory
};

// The PTX images behind the pointer that __cudaRegisterFatBinary receives; machine code is passed over. Throws
// std::runtime_error where the container is not one, or is compressed.
std::vector<PtxImage> ReadPtxImages(const void* wrapper);

// The image a device of this compute capability (10 · major + minor) would be given; null where none fits.
const PtxImage* ChooseImage(const std::vector<PtxImage>& images, int capability);

}  // namespace fire::simulator
