// Counter-based random numbers: Philox 4x32-10 (Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as
// 1, 2, 3", SC11). A stream is named by a key (drawn from R's generator) and a stream number; the i-th number of a
// stream is a function of these three alone, so results do not depend on threads or on how much was asked for.
#pragma once
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>

namespace emkit {

class CounterRng {
 public:
  CounterRng(std::uint64_t key, std::uint64_t stream) : key_(key), stream_(stream) {}

  // Uniform on the open interval (0, 1), 52 bits.
  double uniform() { return (static_cast<double>(bits64() >> 12) + 0.5) * 0x1.0p-52; }

  // Uniform on 0 .. n - 1.
  std::size_t below(std::size_t n) {
    const std::size_t i = static_cast<std::size_t>(uniform() * static_cast<double>(n));
    return i < n ? i : n - 1;
  }

  // Standard exponential.
  double exponential() { return -std::log(uniform()); }

  // Standard normal (Box and Muller; the second of a pair is kept).
  double normal() {
    if (has_spare_) {
      has_spare_ = false;
      return spare_;
    }
    const double r = std::sqrt(2.0 * exponential()), angle = 6.283185307179586476925286766559 * uniform();
    spare_ = r * std::sin(angle);
    has_spare_ = true;
    return r * std::cos(angle);
  }

  std::uint64_t bits64() {
    if (next_ == kBuffer) refill();
    return buffer_[next_++];
  }

 private:
  static constexpr std::size_t kBlocks = 4, kBuffer = 2 * kBlocks;

  // Several blocks side by side: the rounds of one would wait for each other.
  void refill() {
    std::uint32_t c0[kBlocks], c1[kBlocks], c2[kBlocks], c3[kBlocks];
    for (std::size_t b = 0; b < kBlocks; ++b) {
      c0[b] = low(counter_ + b);
      c1[b] = high(counter_ + b);
      c2[b] = low(stream_);
      c3[b] = high(stream_);
    }
    std::uint32_t k0 = low(key_), k1 = high(key_);
    for (int round = 0; round < 10; ++round) {
      for (std::size_t b = 0; b < kBlocks; ++b) {
        const std::uint64_t p0 = 0xD2511F53ULL * c0[b], p1 = 0xCD9E8D57ULL * c2[b];
        c0[b] = high(p1) ^ c1[b] ^ k0;
        c1[b] = low(p1);
        c2[b] = high(p0) ^ c3[b] ^ k1;
        c3[b] = low(p0);
      }
      k0 += 0x9E3779B9U;
      k1 += 0xBB67AE85U;
    }
    for (std::size_t b = 0; b < kBlocks; ++b) {
      buffer_[2 * b] = static_cast<std::uint64_t>(c0[b]) << 32 | c1[b];
      buffer_[2 * b + 1] = static_cast<std::uint64_t>(c2[b]) << 32 | c3[b];
    }
    counter_ += kBlocks;
    next_ = 0;
  }

  static std::uint32_t low(std::uint64_t x) { return static_cast<std::uint32_t>(x); }
  static std::uint32_t high(std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); }

  std::uint64_t key_, stream_, counter_ = 0;
  std::array<std::uint64_t, kBuffer> buffer_{};
  std::size_t next_ = kBuffer;
  double spare_ = 0.0;
  bool has_spare_ = false;
};

}  // namespace emkit
