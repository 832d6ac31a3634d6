// What every family of responses shares: natural parameters and their coordinates under constraints (some fixed, some
// equal over the components), the Newton step between such coordinates, and tiles of the data.
#pragma once
#include <algorithm>
#include <cmath>
#include <limits>

#include "../math/aligned.h"
#include "response.h"

namespace emkit {

// ---- scales --------------------------------------------------------------------------------------------------------

// How a natural parameter becomes a coordinate.
enum class Scale {
  kReal,        // itself
  kPositive,    // its logarithm; any unit, no bound
  kRate,        // its logarithm; 0 is legal and lies at -kCoordinateBound
  kSize,        // its logarithm, between -kCoordinateBound and kCoordinateBound, which stand for 0 and infinity
  kProbability  // its logit; 0 and 1 are legal and lie at -kCoordinateBound and kCoordinateBound
};

// Coordinates of rates, sizes and probabilities end here: exp(-30) = 1e-13. One that has reached it is at the bound,
// and has no curvature that standard errors could come from.
constexpr double kCoordinateBound = 30.0;

inline bool scale_admits(Scale scale, double natural) {
  if (!std::isfinite(natural)) return false;
  switch (scale) {
    case Scale::kReal: return true;
    case Scale::kRate: return natural >= 0.0;
    case Scale::kProbability: return natural >= 0.0 && natural <= 1.0;
    default: return natural > 0.0;
  }
}

inline double clamp_coordinate(Scale scale, double c) {
  switch (scale) {
    case Scale::kRate: return std::max(c, -kCoordinateBound);
    case Scale::kSize:
    case Scale::kProbability: return std::min(std::max(c, -kCoordinateBound), kCoordinateBound);
    default: return c;
  }
}

// The value of a parameter on the scale of its coordinate, infinite at 0 (and 1).
inline double to_scale(Scale scale, double natural) {
  switch (scale) {
    case Scale::kReal: return natural;
    case Scale::kProbability: return std::log(natural) - std::log1p(-natural);
    default: return std::log(natural);
  }
}

inline double to_coordinate(Scale scale, double natural) { return clamp_coordinate(scale, to_scale(scale, natural)); }

inline double from_coordinate(Scale scale, double coordinate) {
  const double c = clamp_coordinate(scale, coordinate);
  switch (scale) {
    case Scale::kReal: return c;
    case Scale::kProbability: return c < 0.0 ? std::exp(c) / (1.0 + std::exp(c)) : 1.0 / (1.0 + std::exp(-c));
    default: return std::exp(c);
  }
}

// ---- constraints ---------------------------------------------------------------------------------------------------

// Which coordinate the parameter (j, k) moves with: components one after another, a shared parameter where it is met
// first, fixed ones nowhere. A shared parameter that is fixed in one component is fixed in all.
class CoordinateMap {
 public:
  CoordinateMap(size_t m, size_t n_components, const Eigen::MatrixXd& fixed, const std::vector<bool>& shared)
      : m_(m), n_components_(n_components), at_(m * n_components, kFixed) {
    for (size_t k = 0; k < n_components; ++k)
      for (size_t j = 0; j < m; ++j) {
        const bool common = !shared.empty() && shared[j];
        if (common && k > 0) {
          at_[k * m + j] = at_[j];
          continue;
        }
        bool held = false;
        if (fixed.size() > 0)
          for (size_t l = k; l < (common ? n_components : k + 1); ++l)
            held = held || !std::isnan(fixed(static_cast<Eigen::Index>(j), static_cast<Eigen::Index>(l)));
        if (held) continue;
        at_[k * m + j] = static_cast<std::ptrdiff_t>(parameter_.size());
        parameter_.push_back(j);
      }
  }

  static constexpr std::ptrdiff_t kFixed = -1;

  size_t size() const { return parameter_.size(); }
  size_t m() const { return m_; }
  size_t n_components() const { return n_components_; }
  std::ptrdiff_t at(size_t j, size_t k) const { return at_[k * m_ + j]; }
  size_t parameter(size_t coordinate) const { return parameter_[coordinate]; }

 private:
  size_t m_, n_components_;
  std::vector<std::ptrdiff_t> at_;
  std::vector<size_t> parameter_;
};

// The step H^-1 g of each parameter's coordinate (m x K; 0 where fixed). gradient: m x K; information: K times m x m,
// positive semidefinite. Coordinates without information stay; a step in which some coordinate would go further than
// its max_step (m) is shortened. (formulas.Rmd, R2)
inline Eigen::MatrixXd newton_step(const CoordinateMap& map, const Eigen::MatrixXd& gradient,
                                   const std::vector<Eigen::MatrixXd>& information, const Eigen::VectorXd& max_step) {
  using Eigen::Index;
  const Index n = static_cast<Index>(map.size()), m = static_cast<Index>(map.m());
  Eigen::VectorXd g = Eigen::VectorXd::Zero(n);
  Eigen::MatrixXd h = Eigen::MatrixXd::Zero(n, n);
  for (size_t k = 0; k < map.n_components(); ++k)
    for (Index j = 0; j < m; ++j) {
      const Index a = map.at(static_cast<size_t>(j), k);
      if (a < 0) continue;
      g(a) += gradient(j, static_cast<Index>(k));
      for (Index l = 0; l < m; ++l) {
        const Index b = map.at(static_cast<size_t>(l), k);
        if (b >= 0) h(a, b) += information[k](j, l);
      }
    }
  Eigen::VectorXd scale(n);  // to a unit diagonal
  for (Index i = 0; i < n; ++i) {
    const bool informed = h(i, i) > 0.0 && std::isfinite(h(i, i)) && std::isfinite(g(i));
    scale(i) = informed ? 1.0 / std::sqrt(h(i, i)) : 0.0;
    if (!informed) g(i) = 0.0;
  }
  h = scale.asDiagonal() * h * scale.asDiagonal();
  g = g.cwiseProduct(scale);
  for (Index i = 0; i < n; ++i)
    if (scale(i) == 0.0) {
      h.row(i).setZero();
      h.col(i).setZero();
      h(i, i) = 1.0;
    }
  Eigen::LDLT<Eigen::MatrixXd> solver;
  for (double ridge = 0.0; ridge < 1.0; ridge = std::max(10.0 * ridge, 1e-10)) {
    solver.compute(h + ridge * Eigen::MatrixXd::Identity(n, n));
    if (solver.info() == Eigen::Success && (n == 0 || solver.vectorD().minCoeff() > 1e-12)) break;
  }
  Eigen::VectorXd step = n > 0 ? Eigen::VectorXd(solver.solve(g).cwiseProduct(scale)) : g;
  double share = 1.0;
  for (Index i = 0; i < n; ++i) {
    const double most = max_step(static_cast<Index>(map.parameter(static_cast<size_t>(i))));
    if (std::abs(step(i)) * share > most) share = most / std::abs(step(i));
  }
  if (!step.allFinite()) step.setZero();
  Eigen::MatrixXd out = Eigen::MatrixXd::Zero(m, static_cast<Index>(map.n_components()));
  for (size_t k = 0; k < map.n_components(); ++k)
    for (Index j = 0; j < m; ++j) {
      const Index a = map.at(static_cast<size_t>(j), k);
      if (a >= 0) out(j, static_cast<Index>(k)) = share * step(a);
    }
  return out;
}

// ---- tiles ---------------------------------------------------------------------------------------------------------

// Whether every position of the tile holds a row.
inline bool tile_is_whole(const RowTile& rows) {
  const std::ptrdiff_t last_lane = static_cast<std::ptrdiff_t>(rows.lanes - 1) * rows.lane_stride;
  return rows.first + std::min<std::ptrdiff_t>(last_lane, 0) >= rows.begin &&
         rows.first + std::max<std::ptrdiff_t>(last_lane, 0) + static_cast<std::ptrdiff_t>(rows.steps) <= rows.end;
}

// A component of at most this much weight keeps its parameters.
constexpr double kVanishedWeight = 1e-10;

// ---- the base of most families -------------------------------------------------------------------------------------

// A response whose natural parameters are, without covariates, m numbers each on a scale of its own; with covariates
// (or an offset) the first is replaced by the coefficients of a linear predictor.
class ConstrainedResponse : public Response {
 public:
  size_t n_components() const final { return map_.n_components(); }
  size_t n_parameters() const final { return map_.m(); }
  Eigen::MatrixXd parameters() const final { return natural_; }

  bool set_parameters(const Eigen::MatrixXd& natural) final {
    if (natural.rows() != natural_.rows() || natural.cols() != natural_.cols()) return invalid(0);
    Eigen::MatrixXd wanted = natural;
    constrain(wanted);
    for (Eigen::Index k = 0; k < wanted.cols(); ++k)
      for (Eigen::Index j = 0; j < wanted.rows(); ++j)
        if (!scale_admits(scale(j), wanted(j, k))) return invalid(static_cast<size_t>(k));
    natural_ = wanted;
    return true;
  }

  size_t n_coordinates() const final { return map_.size(); }

  bool coordinates(double* point) const final {
    for (size_t k = 0; k < n_components(); ++k)
      for (size_t j = 0; j < n_parameters(); ++j)
        if (map_.at(j, k) >= 0) point[map_.at(j, k)] = to_coordinate(scales_[j], value(j, k));
    return true;
  }

  bool set_coordinates(const double* point) final {
    for (size_t i = 0; i < n_coordinates(); ++i)
      if (!std::isfinite(point[i]) || !scale_admits(scales_[map_.parameter(i)],
                                                    from_coordinate(scales_[map_.parameter(i)], point[i])))
        return invalid(0);
    for (size_t k = 0; k < n_components(); ++k)
      for (size_t j = 0; j < n_parameters(); ++j)
        if (map_.at(j, k) >= 0) value(j, k) = from_coordinate(scales_[j], point[map_.at(j, k)]);
    return true;
  }

  Degeneracy degeneracy() const final { return degeneracy_; }

 protected:
  struct TileWorkspace : Workspace {
    AlignedBuffer y;         // n_columns columns of kTileRows; a value of the support where missing
    AlignedBuffer x;         // n_predictors columns, and one that a family may use
    AlignedBuffer offset;    // one column
    AlignedBuffer eta;       // n_blocks K columns
    AlignedBuffer scratch;   // n_predictors + 1 columns
    AlignedBuffer weight;    // one column
    AlignedBuffer sums;      // a component's wide accumulators
    std::vector<char> observed = std::vector<char>(kTileRows, 1);
    bool whole = false;      // every position is observed
  };

  // scales: of the parameters without covariates; with them the first is that of each coefficient, kReal. A component
  // has n_blocks linear predictors, the coefficients of one after those of another.
  ConstrainedResponse(const ResponseData& data, size_t n_components, const ResponseOptions& options,
                      const std::vector<Scale>& scales, size_t n_blocks = 1)
      : data_(data),
        n_blocks_(n_blocks),
        n_coefficients_(data.intercept_only() ? 0 : n_blocks * data.n_predictors),
        scales_(with_coefficients(scales, n_coefficients_)),
        fixed_(options.fixed),
        shared_(options.shared),
        map_(scales_.size(), n_components, fixed_, shared_),
        natural_(Eigen::MatrixXd::Zero(static_cast<Eigen::Index>(scales_.size()),
                                       static_cast<Eigen::Index>(n_components))) {
    for (size_t c = 0; c < data.n_columns; ++c) fill_.push_back(0.0);
    bool found = false;
    for (size_t i = 0; i < data.n; ++i) {
      const bool seen = row_observed(i);
      if (!seen) any_missing_ = true;
      if (seen && !found) {
        found = true;
        for (size_t c = 0; c < data.n_columns; ++c) fill_[c] = data.y[c * data.n + i];
      }
    }
    for (size_t j = 0; j < data.n_predictors && intercept_column_ < 0; ++j) {
      if (!data.x) {
        intercept_column_ = 0;
        intercept_value_ = 1.0;
        break;
      }
      const double* x = data.x + j * data.n;
      if (data.n > 0 && x[0] != 0.0 && std::all_of(x, x + data.n, [&](double v) { return v == x[0]; })) {
        intercept_column_ = static_cast<std::ptrdiff_t>(j);
        intercept_value_ = x[0];
      }
    }
  }

  bool row_observed(size_t row) const {
    for (size_t c = 0; c < data_.n_columns; ++c)
      if (std::isnan(data_.y[c * data_.n + row])) return false;
    return true;
  }

  // Room for a tile, and for n_sums wide sums.
  void allocate(size_t n_sums, TileWorkspace& w) const {
    const size_t p = data_.n_predictors;
    w.y.resize(data_.n_columns * kTileRows);
    w.x.resize((p + 1) * kTileRows);
    w.offset.resize(kTileRows);
    w.eta.resize(n_blocks_ * n_components() * kTileRows);
    w.scratch.resize((p + 1) * kTileRows);
    w.weight.resize(kTileRows);
    w.sums.resize(n_sums * kWide);
  }

  // False only when there is no NaN (then a sum is one only if it overflows). `size` is a multiple of 4.
  static bool may_have_nan(const double* y, size_t size) {
    double a = 0.0, b = 0.0, c = 0.0, d = 0.0;
    for (size_t i = 0; i < size; i += 4) {
      a += y[i];
      b += y[i + 1];
      c += y[i + 2];
      d += y[i + 3];
    }
    return std::isnan((a + b) + (c + d));
  }

  // The tile's responses, and which of its positions are observed.
  void load_y(const RowTile& rows, TileWorkspace& w) const {
    const size_t size = rows.size();
    w.whole = tile_is_whole(rows);
    if (w.whole) {
      for (size_t c = 0; c < data_.n_columns; ++c) {
        double* y = w.y.data() + c * kTileRows;
        rows.load(data_.y + c * data_.n, fill_[c], y);
        w.whole = w.whole && !(any_missing_ && may_have_nan(y, size));
      }
      if (w.whole) return;
    }
    std::fill(w.observed.begin(), w.observed.end(), static_cast<char>(1));
    for (size_t c = 0; c < data_.n_columns; ++c) {
      double* y = w.y.data() + c * kTileRows;
      rows.load(data_.y + c * data_.n, std::numeric_limits<double>::quiet_NaN(), y);
      for (size_t i = 0; i < size; ++i)
        if (std::isnan(y[i])) {
          w.observed[i] = 0;
          y[i] = fill_[c];
        }
    }
  }

  void load_x(const RowTile& rows, TileWorkspace& w) const {
    const size_t size = rows.size();
    for (size_t j = 0; j < data_.n_predictors; ++j) {
      double* x = w.x.data() + j * kTileRows;
      if (data_.x)
        rows.load(data_.x + j * data_.n, 0.0, x);
      else
        std::fill(x, x + size, 1.0);
    }
  }

  // The linear predictors of all components, from coefficients_ (see gather_coefficients()); needs load_x().
  void predict(const RowTile& rows, TileWorkspace& w) const {
    const size_t size = rows.size();
    const size_t n_eta = n_blocks_ * n_components();
    kernels().linear_scores(w.x.data(), kTileRows, size, data_.n_predictors, n_eta, coefficients_.data(), zeros_.data(),
                            w.eta.data());
    if (!data_.offset) return;
    rows.load(data_.offset, 0.0, w.offset.data());
    for (size_t e = 0; e < n_eta; ++e) {
      double* eta = w.eta.data() + e * kTileRows;
      for (size_t i = 0; i < size; ++i) eta[i] += w.offset[i];
    }
  }

  void gather_coefficients() {
    coefficients_.resize(n_coefficients_ * n_components());
    zeros_.assign(n_blocks_ * n_components(), 0.0);
    for (size_t k = 0; k < n_components(); ++k)
      for (size_t j = 0; j < n_coefficients_; ++j) coefficients_[k * n_coefficients_ + j] = value(j, k);
  }

  // Positions that observe nothing have log density 0.
  void mask_density(const RowTile& rows, const TileWorkspace& w, double* column) const {
    if (w.whole) return;
    for (size_t i = 0; i < rows.size(); ++i)
      if (!w.observed[i]) column[i] = 0.0;
  }

  // The component's posterior, 0 where nothing is observed.
  const double* mask_posterior(const RowTile& rows, TileWorkspace& w, const double* posterior) const {
    if (w.whole) return posterior;
    for (size_t i = 0; i < rows.size(); ++i) w.weight[i] = w.observed[i] ? posterior[i] : 0.0;
    return w.weight.data();
  }

  // Sets what is fixed, and makes equal what is shared (the mean of the coordinates where they differ).
  void constrain(Eigen::MatrixXd& natural) const {
    for (Eigen::Index j = 0; j < natural.rows(); ++j) {
      double held = std::numeric_limits<double>::quiet_NaN();
      for (Eigen::Index k = 0; fixed_.size() > 0 && k < natural.cols(); ++k)
        if (!std::isnan(fixed_(j, k))) natural(j, k) = held = fixed_(j, k);
      if (shared_.empty() || !shared_[static_cast<size_t>(j)]) continue;
      if (!std::isnan(held)) {
        natural.row(j).setConstant(held);
      } else if ((natural.row(j).array() != natural(j, 0)).any()) {
        double mean = 0.0;
        for (Eigen::Index k = 0; k < natural.cols(); ++k) mean += to_coordinate(scale(j), natural(j, k));
        natural.row(j).setConstant(from_coordinate(scale(j), mean / static_cast<double>(natural.cols())));
      }
    }
  }

  // Moves the coordinates by a step (m x K); false, with nothing moved, where that is no parameter.
  bool take_step(const Eigen::MatrixXd& step) {
    Eigen::MatrixXd to = natural_;
    for (size_t k = 0; k < n_components(); ++k)
      for (size_t j = 0; j < n_parameters(); ++j) {
        const Eigen::Index row = static_cast<Eigen::Index>(j), col = static_cast<Eigen::Index>(k);
        if (map_.at(j, k) < 0 || step(row, col) == 0.0) continue;
        to(row, col) = from_coordinate(scales_[j], to_coordinate(scales_[j], natural_(row, col)) + step(row, col));
        if (!scale_admits(scales_[j], to(row, col))) return invalid(k);
      }
    natural_ = to;
    return true;
  }

  // out[coordinate] = the sum of the gradient (m x K) over the parameters that move with it.
  void reduce(const Eigen::MatrixXd& gradient, double* out) const {
    std::fill(out, out + n_coordinates(), 0.0);
    for (size_t k = 0; k < n_components(); ++k)
      for (size_t j = 0; j < n_parameters(); ++j)
        if (map_.at(j, k) >= 0)
          out[map_.at(j, k)] += gradient(static_cast<Eigen::Index>(j), static_cast<Eigen::Index>(k));
  }

  bool invalid(size_t component, Degeneracy::Kind kind = Degeneracy::Kind::kNotFinite) {
    degeneracy_.kind = kind;
    degeneracy_.component = component;
    return false;
  }

  bool is_shared(size_t j) const { return !shared_.empty() && shared_[j]; }
  double& value(size_t j, size_t k) { return natural_(static_cast<Eigen::Index>(j), static_cast<Eigen::Index>(k)); }
  double value(size_t j, size_t k) const {
    return natural_(static_cast<Eigen::Index>(j), static_cast<Eigen::Index>(k));
  }
  Scale scale(Eigen::Index j) const { return scales_[static_cast<size_t>(j)]; }

  // The mean of the offset.
  double mean_offset() const {
    double sum = 0.0;
    for (size_t i = 0; data_.offset && i < data_.n; ++i) sum += data_.offset[i];
    return data_.n > 0 ? sum / static_cast<double>(data_.n) : 0.0;
  }

  // Sets every component to these parameters, given without covariates; `linear` is the mean on the scale of the linear
  // predictor, which the mean of the offset is a part of.
  void set_all(const std::vector<double>& parameters, double linear) {
    Eigen::MatrixXd to = natural_;
    const Eigen::Index p = static_cast<Eigen::Index>(n_coefficients_);
    if (p == 0) {
      to.row(0).setConstant(parameters[0]);
    } else {
      to.topRows(p).setZero();
      if (intercept_column_ >= 0) to.row(intercept_column_).setConstant((linear - mean_offset()) / intercept_value_);
    }
    for (size_t a = 1; a < parameters.size(); ++a)
      to.row(std::max<Eigen::Index>(p, 1) + static_cast<Eigen::Index>(a) - 1).setConstant(parameters[a]);
    set_parameters(to);
  }

  const ResponseData data_;
  const size_t n_blocks_;        // linear predictors of a component
  const size_t n_coefficients_;  // of all of them; 0 without covariates
  const std::vector<Scale> scales_;
  const Eigen::MatrixXd fixed_;
  const std::vector<bool> shared_;
  const CoordinateMap map_;
  Eigen::MatrixXd natural_;           // m x K
  std::vector<double> coefficients_;  // a component's after another's
  std::vector<double> zeros_;
  std::vector<double> fill_;          // values of some observed row
  bool any_missing_ = false;
  std::ptrdiff_t intercept_column_ = -1;  // a column of x that is constant
  double intercept_value_ = 0.0;
  Degeneracy degeneracy_;

 private:
  static std::vector<Scale> with_coefficients(const std::vector<Scale>& scales, size_t n_coefficients) {
    if (n_coefficients == 0) return scales;
    std::vector<Scale> out(n_coefficients, Scale::kReal);
    out.insert(out.end(), scales.begin() + 1, scales.end());
    return out;
  }
};

}  // namespace emkit
