// Rows grouped by the columns they observe.
#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace emkit {

using std::size_t;

// Rows that observe the same columns. They are positions begin .. end - 1 of the order in which rows are visited.
struct Pattern {
  std::vector<size_t> observed;
  std::vector<size_t> missing;
  size_t begin = 0;
  size_t end = 0;
  bool complete() const { return missing.empty(); }
};

// Which cells are observed, one bit each, row by row in words of 64 columns. Made column by column, as the data lie.
class ObservedBits {
 public:
  ObservedBits(const double* x, size_t n, size_t d) : n_(n), words_((d + 63) / 64), bits_(n * words_, 0) {
    for (size_t j = 0; j < d; ++j) {
      const double* column = x + j * n;
      std::uint64_t* out = bits_.data() + j / 64;
      const unsigned shift = static_cast<unsigned>(j % 64);
      for (size_t i = 0; i < n; ++i) out[i * words_] |= static_cast<std::uint64_t>(column[i] == column[i]) << shift;
    }
  }

  size_t n_words() const { return words_; }
  const std::uint64_t* row(size_t i) const { return bits_.data() + i * words_; }
  bool observed(size_t i, size_t j) const { return (row(i)[j / 64] >> (j % 64) & 1U) != 0; }
  bool nothing(size_t i) const {
    for (size_t w = 0; w < words_; ++w)
      if (row(i)[w] != 0) return false;
    return true;
  }

 private:
  size_t n_, words_;
  std::vector<std::uint64_t> bits_;
};

// Numbers the distinct bit rows it is shown, in the order in which they first appear.
class PatternIndex {
 public:
  explicit PatternIndex(size_t n_words) : words_(n_words), table_(64, 0) {}

  size_t size() const { return known_.size() / (words_ > 0 ? words_ : 1); }

  size_t find_or_add(const std::uint64_t* bits) {
    size_t slot = hash(bits) & (table_.size() - 1);
    while (table_[slot] != 0) {
      if (same(bits, table_[slot] - 1)) return table_[slot] - 1;
      slot = (slot + 1) & (table_.size() - 1);
    }
    const size_t index = size();
    known_.insert(known_.end(), bits, bits + words_);
    table_[slot] = index + 1;
    if (2 * size() > table_.size()) grow();
    return index;
  }

 private:
  size_t hash(const std::uint64_t* bits) const {
    std::uint64_t h = 0;
    for (size_t w = 0; w < words_; ++w) {
      h = (h ^ bits[w]) * 0x9E3779B97F4A7C15ULL;
      h ^= h >> 29;
    }
    return static_cast<size_t>(h ^ h >> 32);
  }

  bool same(const std::uint64_t* bits, size_t index) const {
    for (size_t w = 0; w < words_; ++w)
      if (known_[index * words_ + w] != bits[w]) return false;
    return true;
  }

  void grow() {
    table_.assign(4 * table_.size(), 0);
    for (size_t i = 0; i < size(); ++i) {
      size_t slot = hash(known_.data() + i * words_) & (table_.size() - 1);
      while (table_[slot] != 0) slot = (slot + 1) & (table_.size() - 1);
      table_[slot] = i + 1;
    }
  }

  size_t words_;
  std::vector<std::uint64_t> known_;
  std::vector<size_t> table_;  // index + 1, 0 where free; its size is a power of two
};

// Patterns in the order in which they first appear, and the rows of each in theirs.
struct RowGroups {
  std::vector<Pattern> patterns;
  std::vector<size_t> order;  // position -> row
};

// Groups the rows source(0) .. source(n - 1) for which keep(row) is true.
template <class Source, class Keep>
RowGroups group_rows_by_pattern(const ObservedBits& bits, size_t d, size_t n, const Source& source, const Keep& keep) {
  constexpr size_t kSkipped = static_cast<size_t>(-1);
  RowGroups groups;
  PatternIndex index(bits.n_words());
  std::vector<size_t> pattern_of(n, kSkipped), count;
  for (size_t i = 0; i < n; ++i) {
    const size_t row = source(i);
    if (!keep(row)) continue;
    const size_t p = index.find_or_add(bits.row(row));
    if (p == count.size()) {
      count.push_back(0);
      Pattern pattern;
      for (size_t j = 0; j < d; ++j) (bits.observed(row, j) ? pattern.observed : pattern.missing).push_back(j);
      groups.patterns.push_back(std::move(pattern));
    }
    pattern_of[i] = p;
    ++count[p];
  }
  size_t position = 0;
  for (size_t p = 0; p < count.size(); ++p) {
    groups.patterns[p].begin = groups.patterns[p].end = position;
    position += count[p];
  }
  groups.order.resize(position);
  for (size_t i = 0; i < n; ++i)
    if (pattern_of[i] != kSkipped) groups.order[groups.patterns[pattern_of[i]].end++] = source(i);
  return groups;
}

}  // namespace emkit
