// Paths of states: the most probable one (Viterbi), and draws from their law given the data. Both ask the model for the
// same terms that the likelihood is made of. (formulas.Rmd, F7)
#pragma once
#include <Eigen/Dense>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "../math/counter_rng.h"
#include "../models/hidden_markov.h"

namespace emkit {

// Densities and transitions of neighbouring rows, a tile at a time.
class RowTerms {
 public:
  explicit RowTerms(const HiddenMarkov& model)
      : model_(model), extra_(model.make_extra()), K_(model.n_states()), density_(K_ * kTileRows) {
    if (model.markov().transition_by_row()) transition_.resize(K_ * K_ * kTileRows);
  }

  // Makes the terms of the tile that holds `row` current.
  void seek(size_t row) {
    const size_t from = row / kTileRows * kTileRows;
    if (from == from_) return;
    from_ = from;
    const RowTile rows = neighbouring_rows(from, std::min(kTileRows, model_.chains().n() - from));
    model_.log_density(rows, *extra_, density_.data(), kTileRows);
    if (transition_.size() > 0) model_.fill_transition(rows, *extra_, transition_.data());
  }
  double log_density(size_t row, size_t k) const { return density_[k * kTileRows + (row - from_)]; }
  double transition(size_t row, size_t i, size_t j) const {
    return transition_.size() > 0 ? transition_[(i * K_ + j) * kTileRows + (row - from_)]
                                  : model_.transition_matrix()[i * K_ + j];
  }
  void initial(size_t row, double* out) {
    model_.markov().initial_of(static_cast<std::ptrdiff_t>(row), extra_->markov.row, out);
  }

 private:
  const HiddenMarkov& model_;
  std::unique_ptr<HiddenMarkov::Extra> extra_;
  size_t K_;
  AlignedBuffer density_, transition_;
  size_t from_ = std::numeric_limits<size_t>::max();
};

struct ViterbiPaths {
  std::vector<int> states;        // n, counted from 0
  std::vector<double> log_prob;   // of path and data, by sequence
  std::ptrdiff_t impossible = -1; // the first row that no path can pass
};

// The most probable path of every sequence (Viterbi 1967), by maxima of sums of logarithms. Ties go to the lower state.
// `Pointer` is wide enough for a state; with Packed, which is for four states at most, two bits are, and a row takes a byte.
template <class Pointer, bool Packed>
ViterbiPaths viterbi_with(HiddenMarkov& model, int* states, Interrupt* interrupt) {
  const double kNever = -std::numeric_limits<double>::infinity();
  const Chains& chains = model.chains();
  const size_t K = model.n_states(), n = chains.n();
  model.responses().prepare();
  RowTerms terms(model);
  const bool by_row = model.markov().transition_by_row();
  ViterbiPaths out;
  out.log_prob.resize(chains.n_sequences());
  // [to * K + from]: neighbours in memory are compared.
  std::vector<double> log_transition(K * K), best(K), next(K), law(K);
  const auto load_transition = [&](size_t row) {
    for (size_t i = 0; i < K; ++i)
      for (size_t j = 0; j < K; ++j) log_transition[j * K + i] = std::log(terms.transition(row, i, j));
  };
  if (!by_row && n > 0) {
    terms.seek(0);
    load_transition(0);
  }
  std::vector<Pointer> back;
  for (size_t s = 0; s < chains.n_sequences(); ++s) {
    const size_t begin = chains.begin(s), end = chains.end(s);
    const size_t width = Packed ? 1 : K;  // pointers of a row
    back.resize((end - begin) * width);
    terms.seek(begin);
    terms.initial(begin, law.data());
    for (size_t k = 0; k < K; ++k) best[k] = std::log(law[k]) + terms.log_density(begin, k);
    for (size_t row = begin;; ) {
      bool possible = false;
      for (size_t k = 0; k < K; ++k) possible = possible || best[k] > kNever;
      if (!possible) {
        out.impossible = static_cast<std::ptrdiff_t>(row);
        return out;
      }
      if (++row == end) break;
      if (row % kTileRows == 0) {
        terms.seek(row);
        if (interrupt && (row / kTileRows) % 256 == 0 && interrupt->pending()) return out;
      }
      if (by_row) load_transition(row);
      Pointer* from = back.data() + (row - begin) * width;
      unsigned bits = 0;
      for (size_t j = 0; j < K; ++j) {
        const double* into = log_transition.data() + j * K;
        double top = best[0] + into[0];
        size_t arg = 0;
        for (size_t i = 1; i < K; ++i) {
          const double v = best[i] + into[i];
          arg = v > top ? i : arg;
          top = v > top ? v : top;
        }
        next[j] = top + terms.log_density(row, j);
        if (Packed)
          bits |= static_cast<unsigned>(arg) << (2 * j);
        else
          from[j] = static_cast<Pointer>(arg);
      }
      if (Packed) from[0] = static_cast<Pointer>(bits);
      best.swap(next);
    }
    size_t k = 0;
    for (size_t j = 1; j < K; ++j)
      if (best[j] > best[k]) k = j;
    double constant = 0.0;
    for (size_t row = end; row-- > begin;) {
      constant += model.responses().row_constant(row);
      states[row] = static_cast<int>(k);
      if (row == begin) break;
      const Pointer* from = back.data() + (row - begin) * width;
      k = Packed ? (static_cast<unsigned>(from[0]) >> (2 * k)) & 3u : static_cast<size_t>(from[k]);
    }
    double top = kNever;
    for (size_t j = 0; j < K; ++j) top = std::max(top, best[j]);
    out.log_prob[s] = top + constant;
  }
  return out;
}

// With as few bytes for each row as the number of states allows.
inline ViterbiPaths viterbi(HiddenMarkov& model, int* states, Interrupt* interrupt) {
  if (model.n_states() <= 4) return viterbi_with<std::uint8_t, true>(model, states, interrupt);
  return model.n_states() <= 256 ? viterbi_with<std::uint8_t, false>(model, states, interrupt)
                                 : viterbi_with<std::uint32_t, false>(model, states, interrupt);
}

// Draws a path of every sequence given the data: forward filtering, backward sampling. `filtered`: n x K, column-major.
// A draw depends on its number and its sequence alone.
template <class States>
void sample_path(const HiddenMarkov& model, const std::vector<double>& filtered, std::uint64_t key, std::uint64_t draw,
                 States states) {
  const Chains& chains = model.chains();
  const size_t K = model.n_states(), n = chains.n();
  RowTerms terms(model);
  std::vector<double> weight(K);
  for (size_t s = 0; s < chains.n_sequences(); ++s) {
    CounterRng rng(key, (draw << 32) + s);
    size_t next = 0;
    for (size_t row = chains.end(s); row-- > chains.begin(s);) {
      double total = 0.0;
      if (row + 1 < chains.end(s)) terms.seek(row + 1);
      for (size_t k = 0; k < K; ++k) {
        weight[k] = filtered[k * n + row];
        if (row + 1 < chains.end(s)) weight[k] *= terms.transition(row + 1, k, next);
        total += weight[k];
      }
      double u = rng.uniform() * total;
      size_t k = 0;
      while (k + 1 < K && (u >= weight[k] || weight[k] == 0.0)) u -= weight[k++];
      while (k > 0 && weight[k] == 0.0) --k;  // rounding must not lead into a state that cannot be
      states[row] = static_cast<int>(k);
      next = k;
    }
  }
}

}  // namespace emkit
