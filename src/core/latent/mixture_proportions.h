// The law of the component of each row of a mixture: mixing proportions, or a multinomial logit of covariates
// (concomitant variables).
#pragma once
#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "../data/row_tile.h"
#include "../math/aligned.h"
#include "independent.h"
#include "multinomial_logit.h"

namespace emkit {

struct ProportionsOptions {
  bool equal = false;             // equal proportions
  std::vector<double> fixed;      // fixed proportions, NaN where free; empty: all free
  const double* x = nullptr;      // n x q covariates, column-major; null: the same proportions for all rows
  size_t n = 0, n_covariates = 0;
};

// Parameters: K proportions (K x 1), or the q x K coefficients of the logit, of which the first component's are 0.
class MixtureProportions {
 public:
  using MatrixXd = Eigen::MatrixXd;
  using VectorXd = Eigen::VectorXd;
  using Index = Eigen::Index;

  // Scratch space of one thread.
  struct Workspace {
    AlignedBuffer x, probability, ones, scratch;
  };

  MixtureProportions(size_t n_components, const ProportionsOptions& options)
      : n_components_(n_components),
        options_(options),
        independent_(n_components, {options.equal, false, options.fixed}) {
    if (options.x)
      logit_.reset(new MultinomialLogit(n_components, options.n_covariates, std::vector<bool>(n_components, true), 0));
    for (size_t k = 0; k < n_components; ++k)
      if (!options.equal && (options.fixed.empty() || std::isnan(options.fixed[k])))
        free_.push_back(static_cast<Index>(k));
    // A single free proportion is what the fixed ones leave.
    independent_.m_step(VectorXd::Ones(static_cast<Index>(n_components)));
  }

  bool by_covariates() const { return logit_ != nullptr; }
  size_t n_components() const { return n_components_; }

  void prepare() { log_proportions_ = independent_.log_proportions(); }

  // out[k * stride + position] += log proportion of component k.
  void add_log_proportions(const RowTile& rows, Workspace& space, double* out, size_t stride) const {
    const size_t size = rows.size();
    if (!logit_) {
      for (size_t k = 0; k < n_components_; ++k)
        for (size_t i = 0; i < size; ++i) out[k * stride + i] += log_proportions_[k];
      return;
    }
    probabilities(rows, space, stride);
    for (size_t k = 0; k < n_components_; ++k) {
      const double* p = space.probability.data() + k * stride;
      double* o = out + k * stride;
      kernels().log_n(p, size, space.scratch.data());
      for (size_t i = 0; i < size; ++i)
        o[i] += p[i] > 0.0 ? space.scratch[i] : -std::numeric_limits<double>::infinity();
    }
  }

  // out[k * stride + position] = proportion of component k.
  void proportions(const RowTile& rows, Workspace& space, double* out, size_t stride) const {
    if (logit_) {
      probabilities(rows, space, stride);
      std::copy(space.probability.data(), space.probability.data() + n_components_ * stride, out);
      return;
    }
    for (size_t k = 0; k < n_components_; ++k)
      std::fill(out + k * stride, out + k * stride + rows.size(), independent_.proportions()(static_cast<Index>(k)));
  }

  size_t n_statistics() const { return n_components_ + (logit_ ? logit_->n_statistics() : 0); }

  // Adds a tile's expected numbers of rows in each component, and what the logit needs. `posterior`: times the rows'
  // weights, 0 in padding.
  void accumulate(const RowTile& rows, const double* posterior, size_t stride, Workspace& space,
                  double* statistics) const {
    const size_t size = rows.size();
    for (size_t k = 0; k < n_components_; ++k) {
      const double* z = posterior + k * stride;
      double lanes[4] = {0.0, 0.0, 0.0, 0.0};
      for (size_t i = 0; i < size; i += 4)
        for (size_t l = 0; l < 4; ++l) lanes[l] += z[i + l];
      statistics[k] += (lanes[0] + lanes[1]) + (lanes[2] + lanes[3]);
    }
    if (!logit_) return;
    probabilities(rows, space, stride);
    const size_t q = options_.n_covariates;
    std::vector<double> x(q);
    for (size_t i = 0; i < size; ++i) {
      for (size_t j = 0; j < q; ++j) x[j] = space.x[j * stride + i];
      logit_->accumulate(x.data(), posterior + i, space.probability.data() + i, stride, statistics + n_components_);
    }
  }

  void m_step(const double* statistics) {
    origin_.clear();
    if (logit_) {
      origin_.resize(logit_->n_coordinates());
      logit_->coordinates(origin_.data());
      logit_->m_step(statistics + n_components_);
      return;
    }
    independent_.m_step(Eigen::Map<const VectorXd>(statistics, static_cast<Index>(n_components_)));
  }

  // See EmModel::shorten_step(): the logit's M-step is one Newton step.
  bool shorten_step() {
    if (origin_.empty()) return false;
    std::vector<double> now(origin_.size());
    logit_->coordinates(now.data());
    for (size_t i = 0; i < now.size(); ++i) now[i] += 0.5 * (origin_[i] - now[i]);
    logit_->set_coordinates(now.data());
    return true;
  }

  // Where a fit starts that begins with posteriors: the same proportions for all rows.
  void set_overall() {
    if (logit_) logit_->set_coefficients(MatrixXd::Zero(static_cast<Index>(options_.n_covariates),
                                                        static_cast<Index>(n_components_)));
  }

  MatrixXd parameters() const { return logit_ ? logit_->coefficients() : MatrixXd(independent_.proportions()); }

  // Proportions that are fixed or equal stay so.
  bool set_parameters(const MatrixXd& parameters) {
    if (!parameters.allFinite()) return false;
    if (logit_) {
      logit_->set_coefficients(parameters);
      return true;
    }
    if (!(parameters.minCoeff() >= 0.0) || !(parameters.sum() > 0.0)) return false;
    independent_.m_step(parameters.col(0));
    return true;
  }

  // Accelerators move log proportions (all K of them, of which the sum does not matter), or the coefficients.
  size_t n_packed() const { return logit_ ? logit_->n_coordinates() : n_components_; }

  bool pack(double* point) const {
    if (logit_) {
      logit_->coordinates(point);
      return true;
    }
    const VectorXd& p = independent_.proportions();
    for (Index k = 0; k < p.size(); ++k) {
      if (!(p(k) > 0.0)) return false;
      point[k] = std::log(p(k));
    }
    return true;
  }

  bool unpack(const double* point) {
    if (logit_) {
      if (!Eigen::Map<const VectorXd>(point, static_cast<Index>(n_packed())).allFinite()) return false;
      logit_->set_coordinates(point);
      return true;
    }
    VectorXd shares = Eigen::Map<const VectorXd>(point, static_cast<Index>(n_components_));
    shares = (shares.array() - shares.maxCoeff()).exp().matrix();
    return set_parameters(shares);
  }

  // One for each degree of freedom: the log of each free proportion but the first, relative to the first free one; or
  // the coefficients.
  size_t n_coordinates() const {
    if (logit_) return logit_->n_coordinates();
    return free_.empty() ? 0 : free_.size() - 1;
  }

  bool coordinates(double* point) const {
    if (logit_) {
      logit_->coordinates(point);
      return true;
    }
    const VectorXd& p = independent_.proportions();
    for (size_t i = 1; i < free_.size(); ++i) {
      point[i - 1] = std::log(p(free_[i]) / p(free_[0]));
      if (!std::isfinite(point[i - 1])) return false;
    }
    return true;
  }

  bool set_coordinates(const double* point) {
    if (logit_) return unpack(point);
    VectorXd p = independent_.proportions();
    for (size_t i = 0; i < free_.size(); ++i) p(free_[i]) = i == 0 ? 1.0 : std::exp(point[i - 1]);
    return set_parameters(p);
  }

  void score(const double* statistics, double* gradient) const {
    if (logit_) {
      std::copy(statistics + n_components_, statistics + n_components_ + logit_->n_coordinates(), gradient);
      return;
    }
    const VectorXd& p = independent_.proportions();
    double count = 0.0, mass = 0.0;
    for (Index k : free_) {
      count += statistics[k];
      mass += p(k);
    }
    for (size_t i = 1; i < free_.size(); ++i) gradient[i - 1] = statistics[free_[i]] - count * p(free_[i]) / mass;
  }

 private:
  void probabilities(const RowTile& rows, Workspace& space, size_t stride) const {
    const size_t size = rows.size(), q = options_.n_covariates;
    if (space.x.size() < q * stride) space.x.resize(q * stride);
    if (space.probability.size() < n_components_ * stride) space.probability.resize(n_components_ * stride);
    if (space.ones.size() < stride) {
      space.ones.resize(stride);
      std::fill(space.ones.data(), space.ones.data() + stride, 1.0);
      space.scratch.resize(stride);
    }
    for (size_t j = 0; j < q; ++j) rows.load(options_.x + j * options_.n, 0.0, space.x.data() + j * stride);
    logit_->probabilities(space.x.data(), stride, size, space.ones.data(), space.scratch.data(),
                          space.probability.data());
  }

  size_t n_components_;
  ProportionsOptions options_;
  Independent independent_;
  std::unique_ptr<MultinomialLogit> logit_;
  std::vector<Index> free_;               // components of free proportions
  std::vector<double> log_proportions_;
  std::vector<double> origin_;            // the logit's coordinates before the last M-step
};

}  // namespace emkit
