// The posterior of the factors given what each row observes, and its sums over rows.
#pragma once
#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "../data/tiled_rows.h"
#include "../math/cholesky.h"

namespace emkit {

using Eigen::Index;
using Eigen::MatrixXd;
using Eigen::VectorXd;

// x = mean + loadings f + e, f ~ N(0, I), e ~ N(0, diag(uniquenesses)).
struct FactorMissingPoint {
  VectorXd mean;          // p
  MatrixXd loadings;      // p x q
  VectorXd uniquenesses;  // p

  bool finite() const { return mean.allFinite() && loadings.allFinite() && uniquenesses.allFinite(); }
};

// What EM treats as missing: the cells (the M-step is then a factor analysis of the expected covariance matrix), or the
// factors alone (the M-step regresses each variable on them, over the rows that observe it).
enum class FactorLatent { kCells, kFactors };

// Sums over rows.
// kFactors: column k of `values` holds, in row 0 and for k below q + q (q + 1) / 2, the sum of a moment of the factors
// over all rows, and in row 1 + j its sum over the rows that observe variable j: first the q factors, then their
// q (q + 1) / 2 products; the last q columns are the factors times the cells of variable j.
// kCells: one column; the weight, the p sums of x - mean, and their p (p + 1) / 2 products (packed), missing cells by
// their expectation.
struct FactorMissingSums {
  MatrixXd values;
  double quadratic = 0.0, log_det = 0.0;
  // Of the variables that are conditioned upon after another one: the least conditional variance. It is a difference of
  // numbers of order 1.
  double least_variance = std::numeric_limits<double>::infinity();

  static Index rows(FactorLatent latent, size_t p) {
    return static_cast<Index>(1 + p + (latent == FactorLatent::kCells ? packed_size(p) : 0));
  }
  static Index columns(FactorLatent latent, size_t q) {
    return latent == FactorLatent::kCells ? 1 : static_cast<Index>(2 * q + packed_size(q));
  }
  void reset(FactorLatent latent, size_t p, size_t q) {
    values.setZero(rows(latent, p), columns(latent, q));
    quadratic = log_det = 0.0;
    least_variance = std::numeric_limits<double>::infinity();
  }
  void add(const FactorMissingSums& other) {
    values += other.values;
    quadratic += other.quadratic;
    log_det += other.log_det;
    least_variance = std::min(least_variance, other.least_variance);
  }
};

// What one uniqueness sees of a row, everything else being given: its variable has conditional variance psi + spread
// and deviates from its conditional mean by the root of `square`. The rows of the tiles, then the groups, whose rows
// count as `weight` rows with their mean square.
struct FactorInnovation {
  std::vector<double> weight, spread, square;
  void reset(size_t n) {
    weight.assign(n, 0.0);
    spread.assign(n, 0.0);
    square.assign(n, 0.0);
  }
};

// One E-step's view of a point; accumulates tiles and groups, from several threads at once.
//
// With M = I + Lambda_o' Psi_o^-1 Lambda_o and b = Lambda_o' Psi_o^-1 (x_o - mu_o) the factors are normal with mean
// M^-1 b and covariance M^-1 (formulas.Rmd, (U1), (U2)). Both are linear in the indicators of what is observed, so that
// a tile needs a matrix product and small decompositions, done for several rows at once. A variable whose uniqueness is
// small would swamp M: it is left out and conditioned upon afterwards, one variable at a time (U3), which stays
// accurate down to a uniqueness of 0.
class FactorMissingSweep {
 public:
  static constexpr size_t kLanes = 8;
  static constexpr size_t kMaxTargets = 3;

  class Workspace {
   public:
    Workspace(FactorLatent latent, size_t p, size_t q)
        : cells(p * kTileRows),
          observed(p * kTileRows),
          expected(latent == FactorLatent::kCells ? p * kTileRows : 0),
          information((q + packed_size(q)) * kTileRows),
          score(q * kTileRows),
          moments((q + packed_size(q)) * kTileRows),
          pivots((q + most_small(q)) * kTileRows),
          lanes((3 * packed_size(q) + 4 * q) * kLanes),
          square(q * (q + 1)) {}
    void start(size_t n_values) {
      if (wide.size() != n_values * kWide) wide.resize(n_values * kWide);
      std::fill(wide.data(), wide.data() + wide.size(), 0.0);
    }
    AlignedBuffer cells, observed, expected, information, score, moments, pivots, lanes, square, wide;
  };

  // The smallest uniquenesses below `small` are conditioned upon; where the factors are what is missing, those of them
  // that are not 0 are targets, whose innovations are wanted. `missing`: of use where the cells are.
  FactorMissingSweep(const TiledRows& data, const TiledMissingCells& missing, const FactorMissingPoint& point,
                     FactorLatent latent, double small)
      : data_(data),
        missing_(missing),
        point_(point),
        latent_(latent),
        p_(data.d()),
        q_(static_cast<size_t>(point.loadings.cols())),
        qq_(packed_size(q_)) {
    for (size_t j = 0; j < p_; ++j)
      if (psi(j) < small) small_.push_back(j);
    std::sort(small_.begin(), small_.end(),
              [&](size_t a, size_t b) { return psi(a) != psi(b) ? psi(a) < psi(b) : a < b; });
    if (small_.size() > most_small(q_)) small_.resize(most_small(q_));
    for (size_t j : small_)
      if (latent_ == FactorLatent::kFactors && psi(j) > 0.0 && targets_.size() < kMaxTargets) targets_.push_back(j);
    std::sort(small_.begin(), small_.end());
    coefficients();
  }

  // Once as many variables are given as there are factors, conditioning is no more accurate than a sum.
  static constexpr size_t most_small(size_t q) { return q + 3; }

  const std::vector<size_t>& small() const { return small_; }
  const std::vector<size_t>& targets() const { return targets_; }
  size_t n_values() const {
    return static_cast<size_t>(FactorMissingSums::rows(latent_, p_) * FactorMissingSums::columns(latent_, q_));
  }
  bool is_small(size_t j) const { return std::binary_search(small_.begin(), small_.end(), j); }

  // Adds a tile to the wide sums of the workspace, and to `sums` what is no moment. innovations: one for each target.
  void tile(size_t t, Workspace& w, FactorMissingSums& sums, std::vector<FactorInnovation>& innovations) const {
    const size_t rows = data_.tile_rows(t), k1 = q_ + qq_;
    const double* weight = data_.weights(t);
    data_.split(t, w.cells.data(), w.observed.data());
    kernels().linear_scores(w.observed.data(), kTileRows, rows, p_, k1, seen_.data(), seen_intercept_.data(),
                            w.information.data());
    kernels().linear_scores(w.cells.data(), kTileRows, rows, p_, q_, cell_.data(), cell_intercept_.data(),
                            w.score.data());
    for (size_t i = 0; i < rows; i += kLanes) lanes(t, i, w, sums, innovations);
    const size_t n_pivots = q_ + small_.size();
    for (size_t a = 0; a < n_pivots; ++a) {
      double* pivot = w.pivots.data() + a * kTileRows;
      kernels().log_n(pivot, rows, pivot);
      for (size_t i = 0; i < rows; ++i) sums.log_det += weight[i] * pivot[i];
    }
    if (latent_ == FactorLatent::kCells)
      add_completed(t, w);
    else
      add_factors(t, w);
  }

  // A group of rows of one pattern from its moments: every posterior mean is K (x_o - mu_o) with one K.
  void group(size_t g, FactorMissingSums& sums, std::vector<FactorInnovation>& innovations) const {
    const MomentGroup& rows = data_.groups()[g];
    const Index o = static_cast<Index>(rows.observed.size()), q = static_cast<Index>(q_);
    VectorXd shift(o);
    MatrixXd scaled(q, o);  // Lambda' Psi^-1, zero where the uniqueness is small
    MatrixXd information = MatrixXd::Identity(q, q);
    std::vector<Index> later;  // positions of observed variables with small uniquenesses
    for (Index a = 0; a < o; ++a) {
      const size_t j = rows.observed[static_cast<size_t>(a)];
      const Index v = static_cast<Index>(j);
      shift(a) = rows.mean(a) - point_.mean(v);
      if (is_small(j)) {
        later.push_back(a);
        scaled.col(a).setZero();
      } else {
        scaled.col(a) = point_.loadings.row(v).transpose() / point_.uniquenesses(v);
        information.noalias() += scaled.col(a) * point_.loadings.row(v);
      }
    }
    const Eigen::LLT<MatrixXd> llt(information);
    Posterior post;
    post.covariance = llt.solve(MatrixXd::Identity(q, q));
    const MatrixXd spread = scaled * rows.scatter + rows.n * (scaled * shift) * shift.transpose();  // Lambda' Psi^-1 T
    // By substitution and not by the inverse, which would lose digits where uniquenesses are small.
    sums.quadratic -= llt.matrixL().solve(spread).cwiseProduct(llt.matrixL().solve(scaled)).sum();
    sums.log_det += 2.0 * rows.n * llt.matrixLLT().diagonal().array().log().sum();
    post.map = post.covariance * scaled;
    for (size_t k = 0; k < targets_.size(); ++k) innovation_of_group(g, shift, post, later, k, innovations[k]);
    for (Index a : later) {
      const Conditioned c = condition(rows, shift, a, post);
      sums.quadratic += c.square / c.variance;
      sums.log_det += rows.n * std::log(c.variance);
      if (a != later.front()) sums.least_variance = std::min(sums.least_variance, c.variance);
    }
    const MatrixXd mapped = later.empty()
                                ? MatrixXd(post.covariance * spread)
                                : MatrixXd(post.map * rows.scatter + rows.n * (post.map * shift) * shift.transpose());
    if (latent_ == FactorLatent::kCells) {
      add_completed_group(rows, shift, post, mapped, sums);
      return;
    }
    const VectorXd first = rows.n * (post.map * shift);
    const MatrixXd second = rows.n * post.covariance + mapped * post.map.transpose();
    add_group(rows, first, second, mapped, sums);
  }

 private:
  struct Posterior {
    MatrixXd covariance;  // q x q
    MatrixXd map;         // q x o: mean = map (x_o - mu_o)
  };
  struct Conditioned {
    double spread, variance, square;  // square: the sum of the squared innovations
  };

  double psi(size_t j) const { return point_.uniquenesses(static_cast<Index>(j)); }
  double loading(size_t j, size_t a) const { return point_.loadings(static_cast<Index>(j), static_cast<Index>(a)); }

  void coefficients() {
    seen_.assign((q_ + qq_) * p_, 0.0);
    cell_.assign(q_ * p_, 0.0);
    seen_intercept_.assign(q_ + qq_, 0.0);
    cell_intercept_.assign(q_, 0.0);
    rows_of_loadings_.resize(p_ * q_);
    for (size_t j = 0; j < p_; ++j)
      for (size_t a = 0; a < q_; ++a) rows_of_loadings_[j * q_ + a] = loading(j, a);
    for (size_t a = 0; a < q_; ++a) seen_intercept_[q_ + packed_index(a, a)] = 1.0;
    for (size_t j = 0; j < p_; ++j) {
      if (is_small(j)) continue;
      for (size_t a = 0; a < q_; ++a) {
        const double l = loading(j, a) / psi(j);
        cell_[a * p_ + j] = l;
        seen_[a * p_ + j] = -l * point_.mean(static_cast<Index>(j));
        for (size_t b = 0; b <= a; ++b) seen_[(q_ + packed_index(a, b)) * p_ + j] = l * loading(j, b);
      }
    }
  }

  // ---- one pattern's moments ----

  // Conditions on the variable at position `at`; updates the posterior.
  Conditioned condition(const MomentGroup& rows, const VectorXd& shift, Index at, Posterior& post) const {
    const Index v = static_cast<Index>(rows.observed[static_cast<size_t>(at)]);
    const VectorXd l = point_.loadings.row(v).transpose();
    const VectorXd u = post.covariance * l;
    VectorXd line = -(post.map.transpose() * l);  // the innovation is line' (x_o - mu_o)
    line(at) += 1.0;
    Conditioned c;
    c.spread = l.dot(u);
    c.variance = point_.uniquenesses(v) + c.spread;
    const double mean = line.dot(shift);
    c.square = line.dot(rows.scatter * line) + rows.n * mean * mean;
    post.map += (u / c.variance) * line.transpose();
    post.covariance -= u * (u / c.variance).transpose();
    return c;
  }

  void innovation_of_group(size_t group, const VectorXd& shift, const Posterior& post, const std::vector<Index>& later,
                           size_t target, FactorInnovation& out) const {
    const MomentGroup& rows = data_.groups()[group];
    const auto variable = [&](Index a) { return rows.observed[static_cast<size_t>(a)]; };
    const auto at = std::find_if(later.begin(), later.end(), [&](Index a) { return variable(a) == targets_[target]; });
    if (at == later.end()) return;
    Posterior others = post;
    for (Index a : later)
      if (a != *at) condition(rows, shift, a, others);
    const Conditioned c = condition(rows, shift, *at, others);
    const size_t position = data_.n_tiles() * kTileRows + group;
    out.weight[position] = rows.n;
    out.spread[position] = c.spread;
    out.square[position] = c.square / rows.n;
  }

  void add_group(const MomentGroup& rows, const VectorXd& first, const MatrixXd& second, const MatrixXd& mapped,
                 FactorMissingSums& sums) const {
    const auto to = [&](size_t k, size_t row) -> double& {
      return sums.values(static_cast<Index>(row), static_cast<Index>(k));
    };
    for (size_t a = 0; a < q_; ++a) {
      const Index ia = static_cast<Index>(a);
      to(a, 0) += first(ia);
      for (size_t j : rows.observed) to(a, 1 + j) += first(ia);
      for (size_t b = 0; b <= a; ++b) {
        const size_t k = q_ + packed_index(a, b);
        const double s = second(ia, static_cast<Index>(b));
        to(k, 0) += s;
        for (size_t j : rows.observed) to(k, 1 + j) += s;
      }
      for (size_t l = 0; l < rows.observed.size(); ++l) {
        const Index v = static_cast<Index>(rows.observed[l]);
        to(q_ + qq_ + a, 1 + rows.observed[l]) += mapped(ia, static_cast<Index>(l)) + point_.mean(v) * first(ia);
      }
    }
  }

  // (U9) for a group: T = sum (x_o - mu_o) (x_o - mu_o)' and `mapped` = map T.
  void add_completed_group(const MomentGroup& rows, const VectorXd& shift, const Posterior& post,
                           const MatrixXd& mapped, FactorMissingSums& sums) const {
    const std::vector<size_t>& observed = rows.observed;
    std::vector<size_t> missing;
    for (size_t j = 0, a = 0; j < p_; ++j) {
      if (a < observed.size() && observed[a] == j)
        ++a;
      else
        missing.push_back(j);
    }
    const Index o = static_cast<Index>(observed.size()), m = static_cast<Index>(missing.size());
    MatrixXd loadings(m, static_cast<Index>(q_));
    for (Index k = 0; k < m; ++k)
      loadings.row(k) = point_.loadings.row(static_cast<Index>(missing[static_cast<size_t>(k)]));
    const VectorXd first = loadings * (post.map * shift);
    const MatrixXd cross = loadings * mapped;  // m x o
    const MatrixXd inner = loadings * (mapped * post.map.transpose() + rows.n * post.covariance) * loadings.transpose();
    sums.values(0, 0) += rows.n;
    for (Index a = 0; a < o; ++a) {
      const size_t j = observed[static_cast<size_t>(a)];
      sum_of(j, sums) += rows.n * shift(a);
      for (Index b = 0; b <= a; ++b)
        product_of(j, observed[static_cast<size_t>(b)], sums) += rows.scatter(a, b) + rows.n * shift(a) * shift(b);
    }
    for (Index k = 0; k < m; ++k) {
      const size_t j = missing[static_cast<size_t>(k)];
      sum_of(j, sums) += rows.n * first(k);
      for (Index a = 0; a < o; ++a) product_of(j, observed[static_cast<size_t>(a)], sums) += cross(k, a);
      for (Index l = 0; l <= k; ++l) product_of(j, missing[static_cast<size_t>(l)], sums) += inner(k, l);
      product_of(j, j, sums) += rows.n * psi(j);
    }
  }

  double& sum_of(size_t j, FactorMissingSums& sums) const { return sums.values(static_cast<Index>(1 + j), 0); }
  double& product_of(size_t j, size_t l, FactorMissingSums& sums) const {
    return sums.values(static_cast<Index>(1 + p_ + (j >= l ? packed_index(j, l) : packed_index(l, j))), 0);
  }

  // ---- rows, several at once ----

  // Moments of the factors, from their means and covariances in w.moments.
  void add_factors(size_t t, Workspace& w) const {
    const size_t rows = data_.tile_rows(t), k1 = q_ + qq_;
    const double* weight = data_.weights(t);
    const auto at = [&](size_t k) { return w.moments.data() + k * kTileRows; };
    for (size_t a = 0; a < q_; ++a)
      for (size_t b = 0; b <= a; ++b) {
        double* second = at(q_ + packed_index(a, b));
        for (size_t i = 0; i < rows; ++i) second[i] = weight[i] * (second[i] + at(a)[i] * at(b)[i]);
      }
    for (size_t a = 0; a < q_; ++a)
      for (size_t i = 0; i < rows; ++i) at(a)[i] *= weight[i];
    kernels().accumulate_sums(w.observed.data(), kTileRows, rows, p_, k1, w.moments.data(), w.wide.data());
    kernels().accumulate_sums(w.cells.data(), kTileRows, rows, p_, q_, w.moments.data(),
                              w.wide.data() + k1 * (1 + p_) * kWide);
  }

  // (U9): the rows with their missing cells at their conditional means.
  void add_completed(size_t t, Workspace& w) const {
    const size_t rows = data_.tile_rows(t);
    kernels().linear_scores(w.moments.data(), kTileRows, rows, q_, p_, rows_of_loadings_.data(), point_.mean.data(),
                            w.expected.data());
    const size_t n = p_ * kTileRows;
    for (size_t k = 0; k < n; ++k) w.cells.data()[k] += (1.0 - w.observed.data()[k]) * w.expected.data()[k];
    kernels().accumulate_scatter(w.cells.data(), kTileRows, rows, p_, point_.mean.data(), data_.weights(t),
                                 w.expected.data(), w.wide.data());
  }

  // Of eight rows, the covariances of their missing cells given the others.
  void add_spread(size_t t, size_t i, const double* covariance, Workspace& w, FactorMissingSums& sums) const {
    double *square = w.square.data(), *u = square + q_ * q_;
    for (size_t v = 0; v < kLanes; ++v) {
      const unsigned *begin = missing_.begin(t, i + v), *end = missing_.end(t, i + v);
      if (begin == end) continue;
      const double weight = data_.weights(t)[i + v];
      for (size_t a = 0; a < q_; ++a)
        for (size_t b = 0; b <= a; ++b)
          square[a * q_ + b] = square[b * q_ + a] = weight * covariance[packed_index(a, b) * kLanes + v];
      for (const unsigned* j = begin; j != end; ++j) {
        const double* loadings = rows_of_loadings_.data() + *j * q_;
        for (size_t a = 0; a < q_; ++a) {
          u[a] = 0.0;
          for (size_t b = 0; b < q_; ++b) u[a] += square[a * q_ + b] * loadings[b];
        }
        double* out = sums.values.data() + 1 + p_ + packed_index(*j, 0);
        for (const unsigned* l = begin; l <= j; ++l) {
          const double* other = rows_of_loadings_.data() + *l * q_;
          double s = 0.0;
          for (size_t a = 0; a < q_; ++a) s += u[a] * other[a];
          out[*l] += s;
        }
        out[*j] += weight * psi(*j);
      }
    }
  }

  using Lanes = Eigen::Array<double, static_cast<int>(kLanes), 1>;
  static Eigen::Map<Lanes, Eigen::Aligned16> lane(double* base, size_t k) {
    return Eigen::Map<Lanes, Eigen::Aligned16>(base + k * kLanes);
  }
  static Eigen::Map<Lanes, Eigen::Aligned16> strip(double* base, size_t k, size_t i) {
    return Eigen::Map<Lanes, Eigen::Aligned16>(base + k * kTileRows + i);
  }

  struct LanePosterior {
    double *covariance, *mean, *product;  // packed; q; scratch of q
  };
  struct LaneInnovation {
    Lanes deviation, spread, variance;
  };

  LaneInnovation innovation(const LanePosterior& post, size_t j, const Lanes& cell) const {
    LaneInnovation out;
    out.spread.setZero();
    out.deviation = cell - point_.mean(static_cast<Index>(j));
    for (size_t a = 0; a < q_; ++a) {
      Lanes u = Lanes::Zero();
      for (size_t b = 0; b < q_; ++b)
        u += lane(post.covariance, a >= b ? packed_index(a, b) : packed_index(b, a)) * loading(j, b);
      lane(post.product, a) = u;
      out.spread += u * loading(j, a);
      out.deviation -= lane(post.mean, a) * loading(j, a);
    }
    out.variance = out.spread + psi(j);
    return out;
  }

  void condition(const LanePosterior& post, const LaneInnovation& on, const Lanes& observed) const {
    const Lanes gain = observed / on.variance;
    for (size_t a = 0; a < q_; ++a) {
      const Lanes u = lane(post.product, a) * gain;
      lane(post.mean, a) += u * on.deviation;
      for (size_t b = 0; b <= a; ++b) lane(post.covariance, packed_index(a, b)) -= u * lane(post.product, b);
    }
  }

  void lanes(size_t t, size_t i, Workspace& w, FactorMissingSums& sums,
             std::vector<FactorInnovation>& innovations) const {
    double* root = w.lanes.data();             // L with M = L L', packed; then its inverse
    double* covariance = root + qq_ * kLanes;  // M^-1
    double* copy = covariance + qq_ * kLanes;
    double* mean = copy + qq_ * kLanes;
    double* copied_mean = mean + q_ * kLanes;
    double* product = copied_mean + q_ * kLanes;
    const Lanes weight = Eigen::Map<const Lanes>(data_.weights(t) + i);
    for (size_t a = 0; a < q_; ++a)
      for (size_t b = 0; b <= a; ++b) {
        Lanes s = strip(w.information.data(), q_ + packed_index(a, b), i);
        for (size_t k = 0; k < b; ++k) s -= lane(root, packed_index(a, k)) * lane(root, packed_index(b, k));
        if (b < a) {
          lane(root, packed_index(a, b)) = s * lane(root, packed_index(b, b));
        } else {
          strip(w.pivots.data(), a, i) = s;
          lane(root, packed_index(a, a)) = s.sqrt().inverse();
        }
      }
    // L^-1 b by substitution and not by the inverse, which would lose digits where uniquenesses are small.
    Lanes quadratic = Lanes::Zero();
    for (size_t a = 0; a < q_; ++a) {
      Lanes s = strip(w.information.data(), a, i) + strip(w.score.data(), a, i);
      for (size_t b = 0; b < a; ++b) s -= lane(root, packed_index(a, b)) * lane(product, b);
      s *= lane(root, packed_index(a, a));
      lane(product, a) = s;
      quadratic -= s.square();
    }
    for (size_t b = 0; b < q_; ++b)
      for (size_t a = b + 1; a < q_; ++a) {
        Lanes s = Lanes::Zero();
        for (size_t k = b; k < a; ++k) s -= lane(root, packed_index(a, k)) * lane(root, packed_index(k, b));
        lane(root, packed_index(a, b)) = s * lane(root, packed_index(a, a));
      }
    for (size_t a = 0; a < q_; ++a)
      for (size_t b = 0; b <= a; ++b) {
        Lanes s = Lanes::Zero();
        for (size_t k = a; k < q_; ++k) s += lane(root, packed_index(k, a)) * lane(root, packed_index(k, b));
        lane(covariance, packed_index(a, b)) = s;
      }
    for (size_t a = 0; a < q_; ++a) {
      Lanes s = Lanes::Zero();
      for (size_t k = a; k < q_; ++k) s += lane(root, packed_index(k, a)) * lane(product, k);
      lane(mean, a) = s;
    }
    const LanePosterior post{covariance, mean, product};
    for (size_t k = 0; k < targets_.size(); ++k) {
      std::copy(covariance, covariance + qq_ * kLanes, copy);
      std::copy(mean, mean + q_ * kLanes, copied_mean);
      const LanePosterior others{copy, copied_mean, product};
      for (size_t j : small_)
        if (j != targets_[k])
          condition(others, innovation(others, j, strip(w.cells.data(), j, i)), strip(w.observed.data(), j, i));
      const LaneInnovation seen = innovation(others, targets_[k], strip(w.cells.data(), targets_[k], i));
      const size_t at = t * kTileRows + i;
      Eigen::Map<Lanes>(innovations[k].weight.data() + at) = weight * strip(w.observed.data(), targets_[k], i);
      Eigen::Map<Lanes>(innovations[k].spread.data() + at) = seen.spread;
      Eigen::Map<Lanes>(innovations[k].square.data() + at) = seen.deviation.square();
    }
    for (size_t s = 0; s < small_.size(); ++s) {
      const Lanes observed = strip(w.observed.data(), small_[s], i);
      const LaneInnovation seen = innovation(post, small_[s], strip(w.cells.data(), small_[s], i));
      condition(post, seen, observed);
      quadratic += observed * seen.deviation.square() / seen.variance;
      const Lanes variance = observed * seen.variance + (1.0 - observed);
      strip(w.pivots.data(), q_ + s, i) = variance;
      if (s > 0) sums.least_variance = std::min(sums.least_variance, variance.minCoeff());
    }
    sums.quadratic += (weight * quadratic).sum();
    for (size_t a = 0; a < q_; ++a) strip(w.moments.data(), a, i) = lane(mean, a);
    if (latent_ == FactorLatent::kCells)
      add_spread(t, i, covariance, w, sums);
    else
      for (size_t k = 0; k < qq_; ++k) strip(w.moments.data(), q_ + k, i) = lane(covariance, k);
  }

  const TiledRows& data_;
  const TiledMissingCells& missing_;
  const FactorMissingPoint& point_;
  FactorLatent latent_;
  size_t p_, q_, qq_;
  std::vector<size_t> small_, targets_;
  std::vector<double> rows_of_loadings_;  // p x q, by rows
  std::vector<double> seen_, cell_, seen_intercept_, cell_intercept_;  // coefficients of the kernels
};

}  // namespace emkit
