// A Markov chain of states: the law of the first state and of the next one, homogeneous or given covariates.
#pragma once
#include <Eigen/Dense>
#include <memory>
#include <vector>

#include "../data/chains.h"
#include "../math/aligned.h"
#include "free_simplex.h"
#include "multinomial_logit.h"
#include "stationary.h"

namespace emkit {

struct MarkovOptions {
  enum class Initial { kFree, kStationary, kFixed, kPerSequence, kLogit };
  Initial initial = Initial::kFree;
  Eigen::VectorXd initial_fixed;           // K, NaN where free; empty: none
  Eigen::MatrixXd initial_per_sequence;    // K x sequences, with kPerSequence
  const double* x_initial = nullptr;       // sequences x q, column-major, with kLogit
  size_t n_x_initial = 0;

  bool transition_logit = false;
  std::vector<bool> allowed;               // K x K column-major, [from + K * to]; empty: all
  Eigen::MatrixXd transition_fixed;        // K x K, NaN where free; empty: none
  const double* x_transition = nullptr;    // n x q, column-major: row t belongs to the transition into row t
  size_t n_x_transition = 0;
};

// Parameters as R sees them: matrices of probabilities or of coefficients.
struct MarkovParameters {
  Eigen::MatrixXd initial;                    // K x 1; q x K with kLogit; K x sequences with kPerSequence
  std::vector<Eigen::MatrixXd> transition;    // one K x K; or for every state of origin q x K
};

class Markov {
 public:
  using Index = Eigen::Index;
  using MatrixXd = Eigen::MatrixXd;
  using VectorXd = Eigen::VectorXd;
  using Initial = MarkovOptions::Initial;

  // Scratch space of one thread.
  struct Space {
    AlignedBuffer x, scratch, ones;
    std::vector<double> row, probability;
  };

  Markov(size_t n_states, const Chains& chains, MarkovOptions options)
      : K_(n_states), chains_(chains), options_(std::move(options)) {
    const Index K = static_cast<Index>(K_);
    if (options_.allowed.empty()) options_.allowed.assign(K_ * K_, true);
    for (size_t i = 0; i < K_; ++i) {
      std::vector<double> held(K_, std::nan(""));
      VectorXd row = VectorXd::Zero(K);
      double left = 1.0, free = 0.0;
      for (size_t j = 0; j < K_; ++j) {
        if (!allowed(i, j)) held[j] = 0.0;
        if (options_.transition_fixed.size() > 0 && !std::isnan(options_.transition_fixed(static_cast<Index>(i), static_cast<Index>(j))))
          held[j] = options_.transition_fixed(static_cast<Index>(i), static_cast<Index>(j));
        if (std::isnan(held[j]))
          free += 1.0;
        else
          left -= held[j];
      }
      for (size_t j = 0; j < K_; ++j) row(static_cast<Index>(j)) = std::isnan(held[j]) ? left / free : held[j];
      rows_.push_back(FreeSimplex(row, held));
      if (options_.transition_logit) {
        std::vector<bool> may(K_);
        size_t reference = K_;
        for (size_t j = 0; j < K_; ++j) {
          may[j] = allowed(i, j);
          if (may[j] && (reference == K_ || j == i)) reference = j;
        }
        row_logits_.push_back(MultinomialLogit(K_, options_.n_x_transition, may, reference));
      }
    }
    std::vector<double> held(K_, std::nan(""));
    VectorXd law = VectorXd::Constant(K, 1.0 / static_cast<double>(K_));
    if (options_.initial_fixed.size() > 0) {
      double left = 1.0, free = 0.0;
      for (size_t k = 0; k < K_; ++k) {
        held[k] = options_.initial_fixed(static_cast<Index>(k));
        if (std::isnan(held[k]))
          free += 1.0;
        else
          left -= held[k];
      }
      for (size_t k = 0; k < K_; ++k) law(static_cast<Index>(k)) = std::isnan(held[k]) ? left / free : held[k];
    }
    law_.reset(new FreeSimplex(law, held));
    if (options_.initial == Initial::kLogit)
      initial_logit_.reset(new MultinomialLogit(K_, options_.n_x_initial, std::vector<bool>(K_, true), 0));
    refresh();
  }

  size_t n_states() const { return K_; }
  const MarkovOptions& options() const { return options_; }

  // ---- what the recursions need ----

  bool transition_by_row() const { return options_.transition_logit; }
  const double* transition_matrix() const { return matrix_.data(); }
  bool initial_by_row() const { return options_.initial == Initial::kLogit || options_.initial == Initial::kPerSequence; }
  const double* initial_law() const { return initial_.data(); }

  // K x K planes of transitions into each row of the tile; with homogeneous ones, constants.
  void fill_transition(const RowTile& rows, Space& s, double* planes) const {
    if (!options_.transition_logit) {
      for (size_t i = 0; i < K_ * K_; ++i) std::fill(planes + i * kTileRows, planes + (i + 1) * kTileRows, matrix_[i]);
      return;
    }
    load_covariates(rows, s);
    for (size_t i = 0; i < K_; ++i)
      row_logits_[i].probabilities(s.x.data(), kTileRows, kTileRows, s.ones.data(), s.scratch.data(),
                                   planes + i * K_ * kTileRows);
  }

  // K planes of the law of first states, at the positions where sequences begin.
  void fill_initial(const RowTile& rows, const unsigned char* first, Space& s, double* planes) const {
    s.probability.resize(K_);
    for (size_t t = 0; t < rows.steps; ++t) {
      if (!first[t]) continue;
      for (size_t v = 0; v < rows.lanes; ++v) {
        if (!((first[t] >> v) & 1)) continue;
        const size_t at = t * rows.lanes + v;
        initial_of(rows.row(at), s.row, s.probability.data());
        for (size_t k = 0; k < K_; ++k) planes[k * kTileRows + at] = s.probability[k];
      }
    }
  }

  // The law of the first state of the sequence that begins at `row` (uniform for padding, row < 0).
  void initial_of(std::ptrdiff_t row, std::vector<double>& x, double* out) const {
    if (!initial_by_row()) {
      std::copy(initial_.begin(), initial_.end(), out);
    } else if (row < 0) {
      std::fill(out, out + K_, 1.0 / static_cast<double>(K_));
    } else {
      const size_t sequence = chains_.sequence_of(static_cast<size_t>(row));
      if (options_.initial == Initial::kPerSequence) {
        for (size_t k = 0; k < K_; ++k)
          out[k] = options_.initial_per_sequence(static_cast<Index>(k), static_cast<Index>(sequence));
      } else {
        x.resize(options_.n_x_initial);
        for (size_t j = 0; j < x.size(); ++j) x[j] = options_.x_initial[j * chains_.n_sequences() + sequence];
        initial_logit_->probabilities(x.data(), out);
      }
    }
  }

  // ---- sums ----

  // Of first states, K; or those of the logit. Of pairs of states, K x K [i * K + j], without the factor P_ij where
  // transitions are homogeneous; or those of the logits.
  size_t n_initial_statistics() const { return initial_logit_ ? initial_logit_->n_statistics() : K_; }
  size_t n_transition_statistics() const {
    if (!options_.transition_logit) return K_ * K_;
    size_t n = 0;
    for (const auto& r : row_logits_) n += r.n_statistics();
    return n;
  }

  // Posteriors (weighted) at the positions where sequences begin.
  void accumulate_initial(const RowTile& rows, const unsigned char* first, const double* posterior, Space& s,
                          double* statistics) const {
    std::vector<double> count(K_);
    s.probability.resize(K_);
    for (size_t t = 0; t < rows.steps; ++t) {
      if (!first[t]) continue;
      for (size_t v = 0; v < rows.lanes; ++v) {
        const size_t at = t * rows.lanes + v;
        const std::ptrdiff_t row = rows.row(at);
        if (!((first[t] >> v) & 1) || row < 0) continue;
        for (size_t k = 0; k < K_; ++k) count[k] = posterior[k * kTileRows + at];
        if (!initial_logit_) {
          for (size_t k = 0; k < K_; ++k) statistics[k] += count[k];
          continue;
        }
        initial_of(row, s.row, s.probability.data());
        initial_logit_->accumulate(s.row.data(), count.data(), s.probability.data(), 1, statistics);
      }
    }
  }

  // Expected pairs (weighted) into each row, K x K planes.
  void accumulate_transition(const RowTile& rows, const double* pairs, const double* transition, Space& s,
                             double* statistics) const {
    if (!options_.transition_logit) {
      for (size_t i = 0; i < K_ * K_; ++i) {
        if (!(matrix_[i] > 0.0)) continue;
        double sum = 0.0;
        for (size_t at = 0; at < rows.size(); ++at) sum += pairs[i * kTileRows + at];
        statistics[i] += sum / matrix_[i];
      }
      return;
    }
    load_covariates(rows, s);
    s.row.resize(options_.n_x_transition);
    for (size_t i = 0; i < K_; ++i) {
      const double* count = pairs + i * K_ * kTileRows;
      const double* probability = transition + i * K_ * kTileRows;
      for (size_t at = 0; at < rows.size(); ++at) {
        for (size_t j = 0; j < s.row.size(); ++j) s.row[j] = s.x[j * kTileRows + at];
        row_logits_[i].accumulate(s.row.data(), count + at, probability + at, kTileRows, statistics);
      }
      statistics += row_logits_[i].n_statistics();
    }
  }

  // ---- M-step ----

  bool m_step_is_exact() const { return !options_.transition_logit && !initial_logit_; }

  void m_step(const double* initial, const double* transition) {
    origin_ = coordinates_of_logits();
    MatrixXd pairs;
    if (options_.transition_logit) {
      for (auto& r : row_logits_) {
        r.m_step(transition);
        transition += r.n_statistics();
      }
    } else {
      pairs = expected_pairs(transition);
      if (options_.initial != Initial::kStationary) maximise_rows(pairs);
    }
    if (options_.initial == Initial::kStationary) {
      maximise_stationary(Eigen::Map<const VectorXd>(initial, static_cast<Index>(K_)), pairs);
    } else if (initial_logit_) {
      initial_logit_->m_step(initial);
    } else if (options_.initial == Initial::kFree) {
      law_->maximise(initial);
    }
    refresh();
  }

  // Moves the coefficients half of the way back to those before the last m_step().
  bool shorten_step() {
    if (origin_.empty()) return false;
    std::vector<double> now = coordinates_of_logits();
    double largest = 0.0;
    for (size_t i = 0; i < now.size(); ++i) {
      largest = std::max(largest, std::abs(origin_[i] - now[i]));
      now[i] += 0.5 * (origin_[i] - now[i]);
    }
    set_coordinates_of_logits(now);
    return largest > 0.0;
  }

  // Expected pairs of states from the sums, [from, to].
  MatrixXd expected_pairs(const double* transition) const {
    MatrixXd pairs(static_cast<Index>(K_), static_cast<Index>(K_));
    for (size_t i = 0; i < K_; ++i)
      for (size_t j = 0; j < K_; ++j)
        pairs(static_cast<Index>(i), static_cast<Index>(j)) = transition[i * K_ + j] * matrix_[i * K_ + j];
    return pairs;
  }

  // From given counts, as a start.
  void start_from_counts(const VectorXd& first, const MatrixXd& pairs) {
    const Index K = static_cast<Index>(K_);
    maximise_rows(pairs);
    if (options_.transition_logit)
      for (Index i = 0; i < K; ++i) row_logits_[static_cast<size_t>(i)].set_constant(rows_[static_cast<size_t>(i)].value());
    if (options_.initial == Initial::kFree) law_->maximise(first.data());
    if (initial_logit_) initial_logit_->set_constant(first / first.sum());
    refresh();
  }

  // ---- parameters ----

  MarkovParameters parameters() const {
    MarkovParameters p;
    if (initial_logit_)
      p.initial = initial_logit_->coefficients();
    else if (options_.initial == Initial::kPerSequence)
      p.initial = options_.initial_per_sequence;
    else
      p.initial = Eigen::Map<const VectorXd>(initial_.data(), static_cast<Index>(K_));
    if (options_.transition_logit)
      for (const auto& r : row_logits_) p.transition.push_back(r.coefficients());
    else
      p.transition.push_back(matrix());
    return p;
  }

  void set_parameters(const MarkovParameters& p) {
    if (options_.transition_logit) {
      for (size_t i = 0; i < K_; ++i) row_logits_[i].set_coefficients(p.transition[i]);
    } else {
      for (size_t i = 0; i < K_; ++i) rows_[i].set(p.transition[0].row(static_cast<Index>(i)).transpose());
    }
    if (initial_logit_)
      initial_logit_->set_coefficients(p.initial);
    else if (!initial_by_row() && options_.initial != Initial::kStationary)
      law_->set(p.initial.col(0));
    refresh();
  }

  // Degrees of freedom: what is fixed or not allowed has none, nor has a stationary first law of its own.
  size_t n_free() const {
    size_t n = coordinates_of_logits().size();
    if (!options_.transition_logit)
      for (const auto& r : rows_) n += r.n_free();
    return n + (options_.initial == Initial::kFree ? law_->n_free() : 0);
  }

  // Between these an accelerator extrapolates.
  size_t n_packed() const {
    size_t n = coordinates_of_logits().size();
    if (!options_.transition_logit) n += K_ * K_;
    if (options_.initial == Initial::kFree) n += K_;
    return n;
  }
  void pack(double* point) const {
    const std::vector<double> logits = coordinates_of_logits();
    point = std::copy(logits.begin(), logits.end(), point);
    if (!options_.transition_logit)
      for (const auto& r : rows_) {
        r.pack(point);
        point += K_;
      }
    if (options_.initial == Initial::kFree) law_->pack(point);
  }
  bool unpack(const double* point) {
    const std::vector<double> logits(point, point + coordinates_of_logits().size());
    for (double b : logits)
      if (!std::isfinite(b)) return false;
    const auto rows = rows_;
    set_coordinates_of_logits(logits);
    point += logits.size();
    if (!options_.transition_logit)
      for (auto& r : rows_) {
        if (!r.unpack(point)) {
          rows_ = rows;
          return false;
        }
        point += K_;
      }
    const bool fine = options_.initial != Initial::kFree || law_->unpack(point);
    refresh();
    return fine;
  }

  // The charts of all probability vectors and the logits: free, unconstrained numbers, at the present point.
  class Chart {
   public:
    explicit Chart(const Markov& m) : markov_(m) {
      if (!m.options_.transition_logit)
        for (const auto& r : m.rows_) rows_.push_back(SimplexChart(r));
      if (m.options_.initial == Initial::kFree) law_.reset(new SimplexChart(*m.law_));
    }
    size_t size() const {
      size_t n = markov_.coordinates_of_logits().size();
      for (const auto& r : rows_) n += r.size();
      return n + (law_ ? law_->size() : 0);
    }
    void coordinates(double* point) const {
      const std::vector<double> logits = markov_.coordinates_of_logits();
      point = std::copy(logits.begin(), logits.end(), point);
      for (const auto& r : rows_) {
        r.coordinates(point);
        point += r.size();
      }
      if (law_) law_->coordinates(point);
    }
    void set(Markov& m, const double* point) const {
      std::vector<double> logits(point, point + m.coordinates_of_logits().size());
      m.set_coordinates_of_logits(logits);
      point += logits.size();
      for (size_t i = 0; i < rows_.size(); ++i) {
        m.rows_[i].set(rows_[i].probability(point));
        point += rows_[i].size();
      }
      if (law_) m.law_->set(law_->probability(point));
      m.refresh();
    }
    // The gradient of the expected complete-data log-likelihood at m, from the sums made there.
    void score(const Markov& m, const double* initial, const double* transition, double* gradient) const {
      const Index K = static_cast<Index>(m.K_);
      const double* at = transition;
      for (const auto& r : m.row_logits_) {
        std::copy(at, at + r.n_coordinates(), gradient);
        gradient += r.n_coordinates();
        at += r.n_statistics();
      }
      if (m.initial_logit_) {
        std::copy(initial, initial + m.initial_logit_->n_coordinates(), gradient);
        gradient += m.initial_logit_->n_coordinates();
      }
      const VectorXd first = Eigen::Map<const VectorXd>(initial, m.initial_logit_ ? 0 : K);
      if (!rows_.empty()) {
        const MatrixXd pairs = m.expected_pairs(transition), P = m.matrix();
        MatrixXd derivative;
        if (m.options_.initial == Initial::kStationary) {
          derivative = StationaryObjective(first, pairs).derivative(P);
        } else {
          derivative = MatrixXd::Zero(K, K);
          for (Index i = 0; i < K; ++i)
            for (Index j = 0; j < K; ++j)
              if (P(i, j) > 0.0) derivative(i, j) = pairs(i, j) / P(i, j);
        }
        for (size_t i = 0; i < rows_.size(); ++i) {
          const Index r = static_cast<Index>(i);
          rows_[i].pull_back(P.row(r).transpose(), derivative.row(r).transpose(), gradient);
          gradient += rows_[i].size();
        }
      }
      if (law_) {
        VectorXd derivative = VectorXd::Zero(K);
        for (Index k = 0; k < K; ++k)
          if (m.law_->value()(k) > 0.0) derivative(k) = first(k) / m.law_->value()(k);
        law_->pull_back(m.law_->value(), derivative, gradient);
      }
    }

   private:
    const Markov& markov_;
    std::vector<SimplexChart> rows_;
    std::unique_ptr<SimplexChart> law_;
  };

  MatrixXd matrix() const {
    MatrixXd P(static_cast<Index>(K_), static_cast<Index>(K_));
    for (size_t i = 0; i < K_; ++i) P.row(static_cast<Index>(i)) = rows_[i].value().transpose();
    return P;
  }

 private:
  bool allowed(size_t from, size_t to) const { return options_.allowed[from + K_ * to]; }

  void maximise_rows(const MatrixXd& pairs) {
    for (size_t i = 0; i < K_; ++i) {
      const VectorXd row = pairs.row(static_cast<Index>(i)).transpose();
      rows_[i].maximise(row.data());
    }
  }

  // The exact M-step when chains begin in the stationary law: from the better of the present rows and those that would be
  // best without it.
  void maximise_stationary(const VectorXd& first, const MatrixXd& pairs) {
    const StationaryObjective objective(first, pairs);
    const MatrixXd present = matrix();
    maximise_rows(pairs);
    const MatrixXd ratio = matrix();
    const MatrixXd best = objective.climb(objective.value(ratio) >= objective.value(present) ? ratio : present);
    for (size_t i = 0; i < K_; ++i) rows_[i].set(best.row(static_cast<Index>(i)).transpose());
  }

  std::vector<double> coordinates_of_logits() const {
    std::vector<double> out;
    const auto add = [&](const MultinomialLogit& l) {
      const size_t at = out.size();
      out.resize(at + l.n_coordinates());
      l.coordinates(out.data() + at);
    };
    for (const auto& r : row_logits_) add(r);
    if (initial_logit_) add(*initial_logit_);
    return out;
  }

  void set_coordinates_of_logits(const std::vector<double>& point) {
    const double* at = point.data();
    for (auto& r : row_logits_) {
      r.set_coordinates(at);
      at += r.n_coordinates();
    }
    if (initial_logit_) initial_logit_->set_coordinates(at);
  }

  // The flat arrays that the recursions read.
  void refresh() {
    matrix_.resize(K_ * K_);
    for (size_t i = 0; i < K_; ++i)
      for (size_t j = 0; j < K_; ++j) matrix_[i * K_ + j] = rows_[i].value()(static_cast<Index>(j));
    VectorXd law = law_->value();
    if (options_.initial == Initial::kStationary) law = stationary_law(matrix());
    initial_.assign(law.data(), law.data() + law.size());
  }

  void load_covariates(const RowTile& rows, Space& s) const {
    const size_t q = options_.n_x_transition;
    if (s.x.size() < q * kTileRows) s.x.resize(q * kTileRows);
    if (s.scratch.size() < kTileRows) s.scratch.resize(kTileRows);
    if (s.ones.size() < kTileRows) {
      s.ones.resize(kTileRows);
      std::fill(s.ones.data(), s.ones.data() + kTileRows, 1.0);
    }
    for (size_t j = 0; j < q; ++j) rows.load(options_.x_transition + j * chains_.n(), 0.0, s.x.data() + j * kTileRows);
  }

  size_t K_;
  const Chains& chains_;
  MarkovOptions options_;
  std::vector<FreeSimplex> rows_;               // of the homogeneous transition matrix
  std::vector<MultinomialLogit> row_logits_;    // with covariates
  std::unique_ptr<FreeSimplex> law_;
  std::unique_ptr<MultinomialLogit> initial_logit_;
  std::vector<double> matrix_, initial_;
  std::vector<double> origin_;                  // coefficients before the last M-step
};

}  // namespace emkit
