// Mixtures of factor analysers: Sigma_k = Lambda_k Lambda_k' + Psi_k with loadings Lambda_k (d x q) and a diagonal matrix
// of uniquenesses Psi_k (Ghahramani & Hinton 1996, CRG-TR-96-1; McNicholas & Murphy 2008, Statistics and Computing
// 18:285-296, and 2010, Bioinformatics 26:2705-2712).
#pragma once
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "eei.h"
#include "eii.h"
#include "evi.h"
#include "vei.h"
#include "vii.h"
#include "vvi.h"
#include "../math/leading_eigen.h"

namespace emkit {

// How the uniquenesses differ over variables and components; each is one of the diagonal covariance structures.
enum class Uniqueness {
  kEqualIsotropic,    // Psi_k = psi I         EII
  kEqual,             // Psi_k = Psi           EEI
  kVaryingIsotropic,  // Psi_k = psi_k I       VII
  kVarying,           // Psi_k                 VVI
  kVaryingScale,      // Psi_k = omega_k Delta VEI
  kVaryingShape       // Psi_k = omega Delta_k EVI
};

// The M-step minimises F = sum_k n_k (log |Sigma_k| + tr(Sigma_k^-1 S_k)), S_k = W_k / n_k, by steps none of which raises
// it. What it reaches is where the next call starts, and is the point that an accelerator sees.
class FactorAnalysers final : public CovarianceStructureOf<FactorAnalysers> {
 public:
  FactorAnalysers(Index n_factors, bool common_loadings, Uniqueness uniqueness)
      : q_(n_factors), common_(common_loadings), kind_(uniqueness) {}

  bool m_step(const Scatter& s, SymmetricSet& out) override {
    collapsed_ = -1;
    if (!prepare(s)) return false;
    const bool cold = psi_.rows() != s.d() || psi_.cols() != s.n_components();
    if (cold) initialise(s);
    const std::vector<MatrixXd> before = loadings_;
    const bool newton = kind_ != Uniqueness::kVaryingScale && kind_ != Uniqueness::kVaryingShape;
    if (s.n_components() == 1 || (newton && !common_)) {
      if (is_shared()) {
        descend_profile(s, 0, s.n_components(), cold ? kColdNewton : kWarmNewton);
      } else {
        for (Index k = 0; k < s.n_components(); ++k) descend_profile(s, k, k + 1, cold ? kColdNewton : kWarmNewton);
      }
    } else {
      if (common_) leave_saddle(s);
      for (int i = 0; i < (cold ? kColdCycles : kWarmCycles); ++i) {
        double change;
        if (!cycle(s, change)) return false;
        if (change < kCycleTol) break;
      }
    }
    if (!cold) align(before);
    if (!bounded()) return false;
    write(out);
    return true;
  }

  void set_scale(const VectorXd& variance) override { floor_ = kLeastUniqueness * variance; }
  Index collapsed() const override { return collapsed_; }

  // ---- the factors ----

  Index n_factors() const override { return q_; }
  MatrixXd loadings(Index k) const override { return loadings_[static_cast<size_t>(k)]; }
  VectorXd uniquenesses(Index k) const override { return psi_.col(k); }

  bool set_factors(const std::vector<MatrixXd>& loadings, const MatrixXd& uniquenesses, SymmetricSet& out) override {
    collapsed_ = -1;
    if (!uniquenesses.allFinite() || !(uniquenesses.minCoeff() > 0.0)) return false;
    if (!has_members(loadings, uniquenesses.array().log().matrix())) return false;
    loadings_.assign(loadings.begin(), loadings.begin() + out.count);
    psi_ = uniquenesses.leftCols(out.count);
    clip();
    write(out);
    return true;
  }

  // ---- coordinates: loadings, then log uniquenesses ----

  size_t n_packed(Index d, Index count) const override {
    return static_cast<size_t>(d * (q_ * (common_ ? 1 : count) + count));
  }

  void pack(double* point) const override {
    const size_t blocks = common_ ? 1 : loadings_.size();
    for (size_t k = 0; k < blocks; ++k) {
      Eigen::Map<MatrixXd>(point, loadings_[k].rows(), q_) = loadings_[k];
      point += loadings_[k].size();
    }
    Eigen::Map<MatrixXd>(point, psi_.rows(), psi_.cols()) = psi_.array().log().matrix();
  }

  bool unpack(const double* point, SymmetricSet& out) override {
    std::vector<MatrixXd> loadings(static_cast<size_t>(out.count));
    for (size_t k = 0; k < loadings.size(); ++k) {
      loadings[k] = Eigen::Map<const MatrixXd>(point, out.d, q_);
      if (!common_) point += out.d * q_;
    }
    if (common_) point += out.d * q_;
    const MatrixXd psi = Eigen::Map<const MatrixXd>(point, out.d, out.count).array().exp().matrix();
    for (const MatrixXd& l : loadings)
      if (!l.allFinite()) return false;
    if (!psi.allFinite() || !(psi.minCoeff() > 0.0)) return false;
    loadings_ = loadings;
    psi_ = psi;
    clip();
    write(out);
    return true;
  }

 private:
  bool isotropic() const { return kind_ == Uniqueness::kEqualIsotropic || kind_ == Uniqueness::kVaryingIsotropic; }
  bool is_shared() const { return kind_ == Uniqueness::kEqualIsotropic || kind_ == Uniqueness::kEqual; }

  // S_k, and the least uniquenesses where nobody has set them. False, and which component, where a variable does not
  // vary at all.
  bool prepare(const Scatter& s) {
    const Index count = s.n_components();
    covariance_.resize(static_cast<size_t>(count));
    for (Index k = 0; k < count; ++k) covariance_[static_cast<size_t>(k)] = s.scatter.matrix(k) / s.n(k);
    if (floor_.size() != s.d()) {
      VectorXd pooled = VectorXd::Zero(s.d());
      for (Index k = 0; k < count; ++k) pooled += s.scatter.matrix(k).diagonal();
      set_scale(pooled / s.total());
    }
    for (Index k = 0; k < count; ++k) {
      const VectorXd variance = covariance_[static_cast<size_t>(k)].diagonal();
      if (!covariance_[static_cast<size_t>(k)].allFinite() || !((variance - floor_).minCoeff() > 0.0)) {
        collapsed_ = k;
        return false;
      }
    }
    return true;
  }

  // Whether factors of all components are of this structure.
  bool has_members(const std::vector<MatrixXd>& loadings, const MatrixXd& log_psi) const {
    if (common_)
      for (const MatrixXd& l : loadings)
        if ((l - loadings[0]).norm() > kMemberTol * loadings[0].norm()) return false;
    const MatrixXd log_floor = log_floors(log_psi.rows()).replicate(1, log_psi.cols());
    return (project(log_psi).cwiseMax(log_floor) - log_psi).cwiseAbs().maxCoeff() < kMemberTol;
  }

  // The likelihood has no bound where more than q uniquenesses of a component go to zero, or those of variables that the
  // factors make collinear: its observations then lie in a space of fewer dimensions.
  bool bounded() {
    for (Index k = 0; k < psi_.cols(); ++k) {
      if (!psi_.col(k).allFinite() || !loadings_[static_cast<size_t>(k)].allFinite()) return false;
      std::vector<Index> at_floor;
      for (Index j = 0; j < psi_.rows(); ++j)
        if (psi_(j, k) <= 2.0 * floor_of(j)) at_floor.push_back(j);
      if (static_cast<Index>(at_floor.size()) > q_ || are_collinear(at_floor, loadings_[static_cast<size_t>(k)])) {
        collapsed_ = k;
        return false;
      }
    }
    return true;
  }

  static bool are_collinear(const std::vector<Index>& variables, const MatrixXd& loadings) {
    if (variables.empty()) return false;
    MatrixXd rows(static_cast<Index>(variables.size()), loadings.cols());
    for (size_t i = 0; i < variables.size(); ++i)
      rows.row(static_cast<Index>(i)) = loadings.row(variables[i]).normalized();
    return !(Eigen::JacobiSVD<MatrixXd>(rows).singularValues()(rows.rows() - 1) > kCollinear);
  }

  VectorXd log_floors(Index d) const {
    VectorXd out = VectorXd::Constant(d, -std::numeric_limits<double>::infinity());
    for (Index j = 0; j < floor_.size(); ++j) out(j) = std::log(floor_of(j));
    return out;
  }

  double floor_of(Index j) const { return isotropic() ? floor_.mean() : floor_.size() > 0 ? floor_(j) : 0.0; }

  // F has a single minimum in one uniqueness, and where that is below the floor the floor is the best that is allowed.
  // (Uniquenesses with a common scale or shape are tied to it only above the floor.)
  void clip() {
    if (floor_.size() == 0) return;
    for (Index k = 0; k < psi_.cols(); ++k)
      for (Index j = 0; j < psi_.rows(); ++j) psi_(j, k) = std::max(psi_(j, k), floor_of(j));
  }

  void write(SymmetricSet& out) const {
    for (Index k = 0; k < out.count; ++k) {
      const MatrixXd& l = loadings_[static_cast<size_t>(k)];
      out.matrix(k).noalias() = l * l.transpose();
      out.matrix(k).diagonal() += psi_.col(k);
    }
  }

  // Principal components of the correlations (of all components together, where something is common).
  void initialise(const Scatter& s) {
    const Index d = s.d(), count = s.n_components();
    psi_.resize(d, count);
    loadings_.resize(static_cast<size_t>(count));
    MatrixXd pooled = MatrixXd::Zero(d, d);
    for (Index k = 0; k < count; ++k) pooled += s.scatter.matrix(k);
    pooled /= s.total();
    for (Index k = 0; k < count; ++k) {
      const size_t at = static_cast<size_t>(k);
      const MatrixXd& of = common_ ? pooled : covariance_[at];
      const VectorXd sd = isotropic() ? VectorXd::Constant(d, std::sqrt(of.diagonal().mean()))
                                      : VectorXd(of.diagonal().cwiseSqrt());
      const VectorXd inverse = sd.cwiseInverse();
      const MatrixXd scaled = inverse.asDiagonal() * of * inverse.asDiagonal();
      const Eigenpairs pairs = leading_eigenpairs(scaled, q_, MatrixXd());
      const double rest = std::max(scaled.trace() - pairs.values.sum(), 0.0) / static_cast<double>(d - q_);
      loadings_[at] = sd.asDiagonal() * pairs.vectors * (pairs.values.array() - rest).max(0.0).sqrt().matrix().asDiagonal();
      const VectorXd explained = (loadings_[at].rowwise().squaredNorm().array() / sd.array().square()).matrix();
      psi_.col(k) = (sd.array().square() * (1.0 - explained.array()).max(kFirstUniqueness)).matrix();
    }
    psi_ = project(psi_.array().log().matrix()).array().exp().matrix();
    clip();
  }

  // Into the structure, by geometric means over what is equal.
  MatrixXd project(MatrixXd log_psi) const {
    const Index d = log_psi.rows(), count = log_psi.cols();
    const VectorXd over_components = log_psi.rowwise().mean();
    const VectorXd level = log_psi.colwise().mean();
    switch (kind_) {
      case Uniqueness::kEqualIsotropic: log_psi.setConstant(level.mean()); break;
      case Uniqueness::kEqual: log_psi = over_components.replicate(1, count); break;
      case Uniqueness::kVaryingIsotropic: log_psi = level.transpose().replicate(d, 1); break;
      case Uniqueness::kVarying: break;
      case Uniqueness::kVaryingScale:
        for (Index k = 0; k < count; ++k)
          log_psi.col(k) = (over_components.array() + (level(k) - level.mean())).matrix();
        break;
      case Uniqueness::kVaryingShape:
        for (Index k = 0; k < count; ++k) log_psi.col(k).array() += level.mean() - level(k);
        break;
    }
    return log_psi;
  }

  // ---- free loadings: F is minimal over them in closed form ----

  // Lambda = Psi^1/2 V (Theta - I)^1/2, V and Theta the q leading eigenpairs of Psi^-1/2 S Psi^-1/2 (Lawley & Maxwell
  // 1971). Returns the value of F / n_k there.
  double best_loadings(size_t k, const VectorXd& psi, MatrixXd& loadings, MatrixXd& vectors) const {
    const VectorXd root = psi.cwiseSqrt(), inverse = root.cwiseInverse();
    const MatrixXd scaled = inverse.asDiagonal() * covariance_[k] * inverse.asDiagonal();
    const Eigenpairs pairs = leading_eigenpairs(scaled, q_, inverse.asDiagonal() * loadings_[k]);
    vectors = pairs.vectors;
    const VectorXd& values = pairs.values;
    loadings = root.asDiagonal() * vectors * (values.array() - 1.0).max(0.0).sqrt().matrix().asDiagonal();
    double value = psi.array().log().sum() + scaled.trace();
    for (Index f = 0; f < q_; ++f)
      if (values(f) > 1.0) value += std::log(values(f)) + 1.0 - values(f);
    return value;
  }

  // F of the components first .. last - 1, which share psi, with the loadings that are best there.
  double profile(const Scatter& s, Index first, Index last, const VectorXd& psi, std::vector<MatrixXd>& loadings,
                 std::vector<MatrixXd>& vectors) const {
    const size_t n = static_cast<size_t>(last - first);
    loadings.resize(n);
    vectors.resize(n);
    double value = 0.0;
    for (size_t i = 0; i < n; ++i)
      value += s.n(first + static_cast<Index>(i)) *
               best_loadings(static_cast<size_t>(first) + i, psi, loadings[i], vectors[i]);
    return value;
  }

  // Newton steps in log psi on the profile F (Joreskog 1967, Psychometrika 32:443-482, with his approximate second
  // derivatives): with E = I - V V', the gradient is n (Sigma - S)_jj / psi_j and the Hessian n E_jl^2.
  void descend_profile(const Scatter& s, Index first, Index last, int limit) {
    const Index d = s.d();
    VectorXd psi = psi_.col(first);
    std::vector<MatrixXd> loadings, vectors;
    double value = profile(s, first, last, psi, loadings, vectors);
    double n = 0.0;
    for (Index k = first; k < last; ++k) n += s.n(k);
    const double start = value;
    for (int i = 0; i < limit; ++i) {
      VectorXd gradient = VectorXd::Zero(d);
      for (Index k = first; k < last; ++k) {
        const VectorXd implied = loadings[static_cast<size_t>(k - first)].rowwise().squaredNorm() + psi;
        gradient += s.n(k) / n * (implied - covariance_[static_cast<size_t>(k)].diagonal()).cwiseQuotient(psi);
      }
      const VectorXd direction = isotropic() ? VectorXd::Constant(d, -gradient.sum() / static_cast<double>(d - q_))
                                             : newton_direction(s, first, vectors, psi, gradient);
      const double largest = direction.cwiseAbs().maxCoeff();
      if (!(largest > kNewtonTol)) break;
      double step = std::min(1.0, kLongestStep / largest);
      const double before = value;
      bool moved = false;
      for (int halving = 0; halving < kHalvings && !moved; ++halving, step *= 0.5) {
        VectorXd next = (psi.array() * (step * direction.array()).exp()).matrix();
        for (Index j = 0; j < d; ++j) next(j) = std::max(next(j), floor_of(j));
        std::vector<MatrixXd> next_loadings, next_vectors;
        const double next_value = profile(s, first, last, next, next_loadings, next_vectors);
        if (!(next_value < value)) continue;
        moved = true;
        psi = next;
        value = next_value;
        loadings.swap(next_loadings);
        vectors.swap(next_vectors);
      }
      // The steps shrink fast: what is left is for the next call.
      if (!moved || before - value < kEnough * (start - value)) break;
    }
    for (Index k = first; k < last; ++k) {
      psi_.col(k) = psi;
      loadings_[static_cast<size_t>(k)] = loadings[static_cast<size_t>(k - first)];
    }
  }

  // Uniquenesses at the floor that would go below it stay there.
  VectorXd newton_direction(const Scatter& s, Index first, const std::vector<MatrixXd>& vectors, const VectorXd& psi,
                            VectorXd gradient) const {
    const Index d = psi.size();
    MatrixXd hessian = MatrixXd::Zero(d, d);
    double n = 0.0;
    for (size_t i = 0; i < vectors.size(); ++i) {
      MatrixXd e = -vectors[i] * vectors[i].transpose();
      e.diagonal().array() += 1.0;
      const double weight = s.n(first + static_cast<Index>(i));
      hessian += weight * e.cwiseAbs2();
      n += weight;
    }
    hessian /= n;
    for (Index j = 0; j < d; ++j) {
      if (psi(j) > floor_(j) * (1.0 + 1e-9) || gradient(j) < 0.0) continue;
      hessian.row(j).setZero();
      hessian.col(j).setZero();
      hessian(j, j) = 1.0;
      gradient(j) = 0.0;
    }
    hessian.diagonal().array() += kRidge;
    const Eigen::LLT<MatrixXd> factor(hessian);
    if (factor.info() != Eigen::Success) return -gradient;
    return -factor.solve(gradient);
  }

  // Turns the loadings to where they were before the step, as far as a rotation can: an accelerator needs a path.
  void align(const std::vector<MatrixXd>& before) {
    for (size_t k = 0; k < loadings_.size(); ++k) {
      const Eigen::JacobiSVD<MatrixXd> svd(loadings_[k].transpose() * before[k],
                                           Eigen::ComputeFullU | Eigen::ComputeFullV);
      loadings_[k] = loadings_[k] * (svd.matrixU() * svd.matrixV().transpose());
    }
  }

  // ---- what has no closed form: conditional maximisations given the moments of the factors ----

  // F / n_k at given loadings and uniquenesses.
  double value(size_t k, const MatrixXd& loadings, const VectorXd& psi) const {
    const MatrixXd weighted = psi.cwiseInverse().asDiagonal() * loadings;
    MatrixXd inner = loadings.transpose() * weighted;
    inner.diagonal().array() += 1.0;
    const Eigen::LLT<MatrixXd> factor(inner);
    return psi.array().log().sum() + 2.0 * MatrixXd(factor.matrixL()).diagonal().array().log().sum() +
           covariance_[k].diagonal().cwiseQuotient(psi).sum() -
           factor.solve(weighted.transpose() * covariance_[k] * weighted).trace();
  }

  // Conditional maximisation never leaves loadings of zero, and leaves a saddle slowly: common loadings give way to those
  // of all components pooled where these are better.
  void leave_saddle(const Scatter& s) {
    const Index d = s.d(), count = s.n_components();
    MatrixXd pooled = MatrixXd::Zero(d, d);
    VectorXd precision = VectorXd::Zero(d);
    for (Index k = 0; k < count; ++k) {
      const double share = s.n(k) / s.total();
      pooled += share * covariance_[static_cast<size_t>(k)];
      precision += share * psi_.col(k).cwiseInverse();
    }
    const VectorXd root = precision.cwiseInverse().cwiseSqrt();
    const VectorXd scale = precision.cwiseSqrt();
    const Eigenpairs pairs =
        leading_eigenpairs(scale.asDiagonal() * pooled * scale.asDiagonal(), q_, scale.asDiagonal() * loadings_[0]);
    const MatrixXd candidate =
        root.asDiagonal() * pairs.vectors * (pairs.values.array() - 1.0).max(0.0).sqrt().matrix().asDiagonal();
    double now = 0.0, then = 0.0;
    for (Index k = 0; k < count; ++k) {
      const size_t at = static_cast<size_t>(k);
      now += s.n(k) * value(at, loadings_[at], psi_.col(k));
      then += s.n(k) * value(at, candidate, psi_.col(k));
    }
    if (!(then < now - kSaddleGain * s.total())) return;
    for (MatrixXd& l : loadings_) l = candidate;
  }

  // With beta_k = (I + Lambda_k' Psi_k^-1 Lambda_k)^-1 Lambda_k' Psi_k^-1 and Theta_k = I - beta_k Lambda_k +
  // beta_k S_k beta_k' (Rubin & Thayer 1982, Psychometrika 47:69-76): row j of common loadings solves
  // sum_k n_k / psi_kj (Lambda Theta_k - S_k beta_k') = 0, and the uniquenesses are the M-step of their diagonal
  // structure for the scatter n_k diag(S_k - 2 Lambda beta_k S_k + Lambda Theta_k Lambda'). Free loadings are best first.
  bool cycle(const Scatter& s, double& change) {
    const Index d = s.d(), count = s.n_components();
    std::vector<MatrixXd> beta_s(static_cast<size_t>(count)), theta(static_cast<size_t>(count));
    MatrixXd before = psi_;
    MatrixXd loadings_before = loadings_[0];
    for (Index k = 0; k < count; ++k) {
      const size_t at = static_cast<size_t>(k);
      if (!common_) {
        MatrixXd vectors, best;
        best_loadings(at, psi_.col(k), best, vectors);
        loadings_[at] = best;
      }
      const MatrixXd& l = loadings_[at];
      const MatrixXd weighted = (psi_.col(k).cwiseInverse().asDiagonal() * l).transpose();
      MatrixXd inner = weighted * l;
      inner.diagonal().array() += 1.0;
      const MatrixXd inverse = inner.llt().solve(MatrixXd::Identity(q_, q_));
      const MatrixXd beta = inverse * weighted;
      beta_s[at] = beta * covariance_[at];
      theta[at] = inverse + beta_s[at] * beta.transpose();
    }
    if (common_) {
      MatrixXd next(d, q_);
      for (Index j = 0; j < d; ++j) {
        MatrixXd left = MatrixXd::Zero(q_, q_);
        VectorXd right = VectorXd::Zero(q_);
        for (Index k = 0; k < count; ++k) {
          const double w = s.n(k) / psi_(j, k);
          left += w * theta[static_cast<size_t>(k)];
          right += w * beta_s[static_cast<size_t>(k)].col(j);
        }
        next.row(j) = left.ldlt().solve(right).transpose();
      }
      for (MatrixXd& l : loadings_) l = next;
    }
    Scatter residual;
    residual.n = s.n;
    residual.scatter = SymmetricSet(d, count, true);
    for (Index k = 0; k < count; ++k) {
      const size_t at = static_cast<size_t>(k);
      const MatrixXd& l = loadings_[at];
      VectorXd c = covariance_[at].diagonal() - 2.0 * l.cwiseProduct(beta_s[at].transpose()).rowwise().sum() +
                   (l * theta[at]).cwiseProduct(l).rowwise().sum();
      residual.scatter.values.col(k) = s.n(k) * c.cwiseMax(floor_);
    }
    if (!update_uniquenesses(residual)) return false;
    clip();
    change = (psi_.array() / before.array()).log().abs().maxCoeff();
    if (common_) {
      const VectorXd sd = (loadings_[0].rowwise().squaredNorm() + psi_.col(0)).cwiseSqrt();
      const MatrixXd moved = sd.cwiseInverse().asDiagonal() * (loadings_[0] - loadings_before);
      change = std::max(change, moved.cwiseAbs().maxCoeff());
    }
    return std::isfinite(change);
  }

  bool update_uniquenesses(const Scatter& residual) {
    const Index count = residual.n_components();
    if (is_shared()) {
      Scatter pooled;
      pooled.n = VectorXd::Constant(1, residual.total());
      pooled.scatter = SymmetricSet(residual.d(), 1, true);
      pooled.scatter.values.col(0) = residual.scatter.values.rowwise().sum();
      SymmetricSet out(residual.d(), 1, true);
      const bool fine = kind_ == Uniqueness::kEqual ? Eei().m_step(pooled, out) : Eii().m_step(pooled, out);
      psi_ = out.values.replicate(1, count);
      return fine;
    }
    SymmetricSet out(residual.d(), count, true);
    bool fine = false;
    switch (kind_) {
      case Uniqueness::kVaryingIsotropic: fine = Vii().m_step(residual, out); break;
      case Uniqueness::kVaryingScale: fine = Vei().m_step(residual, out); break;
      case Uniqueness::kVaryingShape: fine = Evi().m_step(residual, out); break;
      default: fine = Vvi().m_step(residual, out);
    }
    psi_ = out.values;
    return fine;
  }

  static constexpr double kLeastUniqueness = 1e-7;   // of the variance of the data
  static constexpr double kFirstUniqueness = 0.1;    // of a variable's variance, at a start
  static constexpr double kMemberTol = 1e-7;
  static constexpr double kCollinear = 1e-3;         // sine of an angle between variables at the bound
  static constexpr double kSaddleGain = 1e-6;        // of F, for each observation
  static constexpr double kRidge = 1e-10;
  static constexpr double kNewtonTol = 1e-10;        // of log psi
  static constexpr double kCycleTol = 1e-11;
  static constexpr double kLongestStep = 2.0;
  static constexpr int kHalvings = 12;
  static constexpr double kEnough = 0.1;             // of the descent of a call: a last step worth less ends it
  static constexpr int kColdNewton = 20;
  static constexpr int kWarmNewton = 3;
  static constexpr int kColdCycles = 50;
  static constexpr int kWarmCycles = 10;

  Index q_;
  bool common_;
  Uniqueness kind_;
  VectorXd floor_;                     // d: the least uniquenesses
  std::vector<MatrixXd> loadings_;     // one d x q matrix for each scatter matrix, equal ones where common
  MatrixXd psi_;                       // d x as many
  std::vector<MatrixXd> covariance_;   // S_k
  Index collapsed_ = -1;
};

}  // namespace emkit
