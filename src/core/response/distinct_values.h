// The distinct values of a discrete response, so that what depends on the value alone is computed once for each.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <unordered_map>
#include <vector>

#include "response.h"

namespace emkit {

class DistinctValues {
 public:
  static constexpr size_t kMost = 4096;

  // Gives up (usable() is false) when there are more than kMost.
  explicit DistinctValues(const ResponseData& data) : columns_(data.n_columns) {
    std::unordered_map<std::uint64_t, std::vector<int>> seen;  // by a hash of the value
    code_.reserve(data.n);
    std::vector<double> row(columns_);
    constexpr int kMissing = -1;
    int last = kMissing;  // neighbours are often equal
    for (size_t i = 0; i < data.n; ++i) {
      bool missing = false;
      for (size_t c = 0; c < columns_; ++c) {
        row[c] = data.y[c * data.n + i];
        missing = missing || std::isnan(row[c]);
      }
      if (missing) {
        code_.push_back(kMissing);
        continue;
      }
      if (last == kMissing || !equals(last, row)) {
        std::vector<int>& bucket = seen[hash(row)];
        last = kMissing;
        for (const int code : bucket)
          if (equals(code, row)) last = code;
        if (last == kMissing) {
          if (size() == kMost) {
            usable_ = false;
            code_.clear();
            values_.clear();
            return;
          }
          last = static_cast<int>(size());
          bucket.push_back(last);
          values_.insert(values_.end(), row.begin(), row.end());
        }
      }
      code_.push_back(last);
    }
    for (int& code : code_)
      if (code == kMissing) code = none();
  }

  bool usable() const { return usable_; }
  size_t size() const { return values_.size() / columns_; }
  const double* value(size_t code) const { return values_.data() + code * columns_; }
  // The codes of the rows, none() where missing.
  const int* codes() const { return code_.data(); }
  int none() const { return static_cast<int>(size()); }

 private:
  bool equals(int code, const std::vector<double>& row) const {
    const double* v = value(static_cast<size_t>(code));
    for (size_t c = 0; c < columns_; ++c)
      if (v[c] != row[c]) return false;
    return true;
  }

  static std::uint64_t hash(const std::vector<double>& row) {
    std::uint64_t h = 0;
    for (const double v : row) {
      std::uint64_t bits;
      const double plus = v + 0.0;  // -0 and 0 are one value
      std::memcpy(&bits, &plus, sizeof bits);
      h = (h ^ bits) * 0x9E3779B97F4A7C15ULL;
      h ^= h >> 29;
    }
    return h;
  }

  size_t columns_;
  bool usable_ = true;
  std::vector<double> values_;  // one value's columns after another's
  std::vector<int> code_;
};

}  // namespace emkit
