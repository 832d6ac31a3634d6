// A growable array of doubles aligned for the kernels.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#include "../kernels/kernels.h"

namespace emkit {

class AlignedBuffer {
 public:
  AlignedBuffer() = default;
  explicit AlignedBuffer(size_t n) { resize(n); }

  // The contents are zero after a resize.
  void resize(size_t n) {
    storage_.reset(new double[n + kAlignment / sizeof(double)]());
    const std::uintptr_t address = reinterpret_cast<std::uintptr_t>(storage_.get());
    const std::uintptr_t aligned = (address + kAlignment - 1) / kAlignment * kAlignment;
    data_ = reinterpret_cast<double*>(aligned);
    size_ = n;
  }

  double* data() { return data_; }
  const double* data() const { return data_; }
  size_t size() const { return size_; }
  double& operator[](size_t i) { return data_[i]; }
  double operator[](size_t i) const { return data_[i]; }

 private:
  std::unique_ptr<double[]> storage_;
  double* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace emkit
