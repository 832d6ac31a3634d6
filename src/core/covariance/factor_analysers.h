// Mixtures of factor analysers: Sigma_k = Lambda_k Lambda_k' + Psi_k with loadings Lambda_k (d x q) and a diagonal matrix
// of uniquenesses Psi_k (Ghahramani & Hinton 1996, CRG-TR-96-1; McNicholas & Murphy 2008, Statistics and Computing
// 18:285-296, and 2010, Bioinformatics 26:2705-2712).
#pragma once
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "bounded_newton.h"
#include "covariance.h"
#include "uniquenesses.h"
#include "../math/leading_eigen.h"

namespace emkit {

// The M-step minimises F = sum_k n_k (log |Sigma_k| + tr(Sigma_k^-1 S_k)), S_k = W_k / n_k, by steps none of which raises
// it. What it reaches is where the next call starts, and is the point that an accelerator sees.
class FactorAnalysers final : public CovarianceStructureOf<FactorAnalysers> {
 public:
  FactorAnalysers(Index n_factors, bool common_loadings, Uniqueness uniqueness)
      : q_(n_factors), common_(common_loadings), set_(uniqueness) {}

  bool m_step(const Scatter& s, SymmetricSet& out) override {
    collapsed_ = -1;
    if (!prepare(s)) return false;
    const bool cold = psi_.rows() != s.d() || psi_.cols() != s.n_components();
    if (cold) initialise(s);
    const std::vector<MatrixXd> before = loadings_;
    if (s.n_components() == 1 || !(common_ || set_.tied())) {
      if (set_.shared()) {
        descend_profile(s, 0, s.n_components(), cold ? kColdNewton : kWarmNewton);
      } else {
        for (Index k = 0; k < s.n_components(); ++k) descend_profile(s, k, k + 1, cold ? kColdNewton : kWarmNewton);
      }
    } else {
      if (common_) leave_saddle(s);
      if (!descend_tied(s, cold)) return false;
    }
    if (!cold) align(before);
    if (!bounded()) return false;
    write(out);
    return true;
  }

  void set_scale(const VectorXd& variance) override { set_.set_floor(kLeastUniqueness * variance); }
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
    set_.raise(psi_);
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
    // A sum of members is one up to rounding.
    psi_ = set_.tied() ? set_.project(psi.array().log().matrix()).array().exp().matrix() : psi;
    set_.raise(psi_);
    write(out);
    return true;
  }

 private:
  // S_k, and the least uniquenesses where nobody has set them. False, and which component, where a variable does not
  // vary at all.
  bool prepare(const Scatter& s) {
    const Index count = s.n_components();
    covariance_.resize(static_cast<size_t>(count));
    for (Index k = 0; k < count; ++k) covariance_[static_cast<size_t>(k)] = s.scatter.matrix(k) / s.n(k);
    if (set_.floor().size() != s.d()) {
      VectorXd pooled = VectorXd::Zero(s.d());
      for (Index k = 0; k < count; ++k) pooled += s.scatter.matrix(k).diagonal();
      set_scale(pooled / s.total());
    }
    for (Index k = 0; k < count; ++k) {
      const VectorXd variance = covariance_[static_cast<size_t>(k)].diagonal();
      if (!covariance_[static_cast<size_t>(k)].allFinite() || !((variance - set_.floor()).minCoeff() > 0.0)) {
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
    MatrixXd member = set_.project(log_psi).array().exp().matrix();
    set_.raise(member);
    return (member.array().log().matrix() - log_psi).cwiseAbs().maxCoeff() < kMemberTol;
  }

  // The likelihood has no bound where more than q uniquenesses of a component go to zero, or those of variables that the
  // factors make collinear: its observations then lie in a space of fewer dimensions.
  bool bounded() {
    for (Index k = 0; k < psi_.cols(); ++k) {
      if (!psi_.col(k).allFinite() || !loadings_[static_cast<size_t>(k)].allFinite()) return false;
      std::vector<Index> at_floor;
      for (Index j = 0; j < psi_.rows(); ++j)
        if (psi_(j, k) <= 2.0 * set_.floor()(j)) at_floor.push_back(j);
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
      const VectorXd sd = set_.isotropic() ? VectorXd::Constant(d, std::sqrt(of.diagonal().mean()))
                                      : VectorXd(of.diagonal().cwiseSqrt());
      const VectorXd inverse = sd.cwiseInverse();
      const MatrixXd scaled = inverse.asDiagonal() * of * inverse.asDiagonal();
      const Eigenpairs pairs = leading_eigenpairs(scaled, q_, MatrixXd());
      const double rest = std::max(scaled.trace() - pairs.values.sum(), 0.0) / static_cast<double>(d - q_);
      loadings_[at] =
          sd.asDiagonal() * pairs.vectors * (pairs.values.array() - rest).max(0.0).sqrt().matrix().asDiagonal();
      const VectorXd explained = (loadings_[at].rowwise().squaredNorm().array() / sd.array().square()).matrix();
      psi_.col(k) = (sd.array().square() * (1.0 - explained.array()).max(kFirstUniqueness)).matrix();
    }
    psi_ = set_.project(psi_.array().log().matrix()).array().exp().matrix();
    set_.raise(psi_);
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
      const VectorXd direction = set_.isotropic() ? VectorXd::Constant(d, -gradient.sum() / static_cast<double>(d - q_))
                                             : newton_direction(s, first, vectors, psi, gradient);
      const double largest = direction.cwiseAbs().maxCoeff();
      if (!(largest > kNewtonTol)) break;
      double step = std::min(1.0, kLongestStep / largest);
      const double before = value;
      bool moved = false;
      for (int halving = 0; halving < kHalvings && !moved; ++halving, step *= 0.5) {
        VectorXd next = (psi.array() * (step * direction.array()).exp()).matrix();
        next = next.cwiseMax(set_.floor());
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
      if (psi(j) > set_.floor()(j) * (1.0 + 1e-9) || gradient(j) < 0.0) continue;
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

  // ---- what is common to components that differ otherwise ----

  // F / n_k at given loadings and uniquenesses. By Sigma itself: a uniqueness near zero does not make it singular.
  double value(size_t k, const MatrixXd& loadings, const VectorXd& psi) const {
    MatrixXd sigma = loadings * loadings.transpose();
    sigma.diagonal() += psi;
    const Eigen::LLT<MatrixXd> factor(sigma);
    if (factor.info() != Eigen::Success) return std::numeric_limits<double>::infinity();
    return 2.0 * MatrixXd(factor.matrixL()).diagonal().array().log().sum() + factor.solve(covariance_[k]).trace();
  }

  // F / n. Where loadings are free they become the best for psi.
  double tied_value(const Scatter& s, std::vector<MatrixXd>& loadings, const MatrixXd& psi,
                    std::vector<MatrixXd>& vectors) const {
    double total = 0.0;
    for (Index k = 0; k < s.n_components(); ++k) {
      const size_t at = static_cast<size_t>(k);
      total += s.n(k) * (common_ ? value(at, loadings[at], psi.col(k))
                                 : best_loadings(at, psi.col(k), loadings[at], vectors[at]));
    }
    return total / s.total();
  }

  // Where a Newton step is too large a problem, or finds nothing, conditional maximisations.
  bool descend_tied(const Scatter& s, bool cold) {
    if (basis_.rows() != s.d() * s.n_components()) basis_ = set_.basis(s.d(), s.n_components());
    const Index size = basis_.cols() + (common_ ? s.d() * q_ : 0);
    if (size <= kMostNewton && newton_tied(s, cold ? kColdNewton : kWarmNewton)) return true;
    std::vector<MatrixXd> vectors(loadings_.size());
    const std::vector<MatrixXd> loadings = loadings_;
    const MatrixXd psi = psi_;
    const double before = tied_value(s, loadings_, psi_, vectors);
    for (int i = 0; i < (cold ? kColdCycles : kWarmCycles); ++i) {
      double change;
      if (!cycle(s, change)) return false;
      if (change < kCycleTol) break;
    }
    // What is lost is lost by rounding, at a maximum.
    if (tied_value(s, loadings_, psi_, vectors) > before) {
      loadings_ = loadings;
      psi_ = psi;
    }
    return true;
  }

  // Newton steps on F in eta, log psi = basis eta, and in common loadings (free ones are profiled out, as above), with
  // expected second derivatives. A step ends where a uniqueness meets its floor, so that it never leaves the structure.
  // False where the first finds nothing.
  bool newton_tied(const Scatter& s, int limit) {
    const Index d = s.d(), count = s.n_components(), n_l = common_ ? d * q_ : 0;
    std::vector<MatrixXd> vectors(static_cast<size_t>(count)), trial_vectors = vectors, trial = loadings_;
    double now = tied_value(s, loadings_, psi_, vectors);
    const double start = now;
    for (int i = 0; i < limit; ++i) {
      VectorXd g = VectorXd::Zero(n_l + d * count);
      MatrixXd h = MatrixXd::Zero(g.size(), g.size());
      for (Index k = 0; k < count; ++k) {
        if (common_)
          add_derivatives(s, k, g, h);
        else
          add_profile_derivatives(s, k, vectors[static_cast<size_t>(k)], g, h);
      }
      const VectorXd direction = tied_direction(g, h, n_l);
      const Eigen::Map<const MatrixXd> d_loadings(direction.data(), common_ ? d : 0, common_ ? q_ : 0);
      const Eigen::Map<const MatrixXd> d_psi(direction.data() + n_l, d, count);
      const double largest = d_psi.cwiseAbs().maxCoeff();
      double step = std::min(1.0, kLongestStep / std::max(largest, kNewtonTol));
      for (Index k = 0; k < count; ++k)
        for (Index j = 0; j < d; ++j)
          if (d_psi(j, k) < 0.0 && !at_floor(j, k))
            step = std::min(step, std::log(set_.floor()(j) / psi_(j, k)) / d_psi(j, k));
      const double before = now;
      bool moved = false;
      for (int halving = 0; halving < kHalvings && !moved; ++halving, step *= 0.5) {
        MatrixXd next = (psi_.array() * (step * d_psi.array()).exp()).matrix();
        set_.raise(next);
        trial = loadings_;
        if (common_)
          for (MatrixXd& l : trial) l += step * d_loadings;
        const double then = tied_value(s, trial, next, trial_vectors);
        if (!(then < now)) continue;
        moved = true;
        now = then;
        psi_ = next;
        loadings_.swap(trial);
        vectors.swap(trial_vectors);
      }
      if (!moved && i == 0) return false;
      if (!moved || before - now < kEnough * (start - now)) break;
    }
    return true;
  }

  bool at_floor(Index j, Index k) const { return psi_(j, k) <= set_.floor()(j) * (1.0 + 1e-9); }

  // In loadings and log psi, from derivatives in both where log psi are free.
  VectorXd tied_direction(const VectorXd& g, const MatrixXd& h, Index n_l) const {
    const Index n_eta = basis_.cols(), n_psi = basis_.rows(), d = psi_.rows();
    MatrixXd reduced(n_l + n_eta, n_l + n_eta);
    reduced.topLeftCorner(n_l, n_l) = h.topLeftCorner(n_l, n_l);
    reduced.topRightCorner(n_l, n_eta) = h.topRightCorner(n_l, n_psi) * basis_;
    reduced.bottomLeftCorner(n_eta, n_l) = reduced.topRightCorner(n_l, n_eta).transpose();
    reduced.bottomRightCorner(n_eta, n_eta) = basis_.transpose() * h.bottomRightCorner(n_psi, n_psi) * basis_;
    VectorXd slope(n_l + n_eta);
    slope << g.head(n_l), basis_.transpose() * g.tail(n_psi);
    std::vector<Index> rows;
    for (Index k = 0; k < psi_.cols(); ++k)
      for (Index j = 0; j < (set_.isotropic() ? 1 : d); ++j)
        if (at_floor(j, k)) rows.push_back(k * d + j);
    MatrixXd held = MatrixXd::Zero(n_l + n_eta, static_cast<Index>(rows.size()));
    for (size_t i = 0; i < rows.size(); ++i)
      held.col(static_cast<Index>(i)).tail(n_eta) = basis_.row(rows[i]).transpose();
    const VectorXd x = bounded_newton(reduced, slope, held);
    VectorXd out(n_l + n_psi);
    out << x.head(n_l), basis_ * x.tail(n_eta);
    return out;
  }

  // Of a component with best loadings, in log psi: see descend_profile().
  void add_profile_derivatives(const Scatter& s, Index k, const MatrixXd& vectors, VectorXd& g, MatrixXd& h) const {
    const Index d = s.d();
    const double share = s.n(k) / s.total();
    const VectorXd psi = psi_.col(k);
    const VectorXd implied = loadings_[static_cast<size_t>(k)].rowwise().squaredNorm() + psi;
    g.segment(k * d, d) = share * (implied - covariance_[static_cast<size_t>(k)].diagonal()).cwiseQuotient(psi);
    MatrixXd e = -vectors * vectors.transpose();
    e.diagonal().array() += 1.0;
    h.block(k * d, k * d, d, d) = share * e.cwiseAbs2();
  }

  // dF = tr(R dSigma) with R = A - A S A, A = Sigma^-1; of the second derivative its expectation, tr(A dSigma A dSigma).
  void add_derivatives(const Scatter& s, Index k, VectorXd& g, MatrixXd& h) const {
    const Index d = s.d(), n_l = d * q_, at = n_l + k * d;
    const double share = s.n(k) / s.total();
    const MatrixXd& l = loadings_[static_cast<size_t>(k)];
    const VectorXd psi = psi_.col(k);
    const MatrixXd a = precision(k);
    MatrixXd r = a - a * covariance_[static_cast<size_t>(k)] * a;
    const MatrixXd m = a * l, c = l.transpose() * m, slope = r * l;
    g.head(n_l) += 2.0 * share * Eigen::Map<const VectorXd>(slope.data(), n_l);
    g.segment(at, d) += share * r.diagonal().cwiseProduct(psi);
    for (Index f = 0; f < q_; ++f) {
      for (Index e = 0; e < q_; ++e)
        h.block(f * d, e * d, d, d) += 2.0 * share * (m.col(e) * m.col(f).transpose() + c(f, e) * a);
      h.block(f * d, at, d, d) += 2.0 * share * a * m.col(f).cwiseProduct(psi).asDiagonal();
    }
    h.block(at, at, d, d) += share * (psi.asDiagonal() * a.cwiseAbs2() * psi.asDiagonal());
  }

  MatrixXd precision(Index k) const {
    const MatrixXd& l = loadings_[static_cast<size_t>(k)];
    MatrixXd sigma = l * l.transpose();
    sigma.diagonal() += psi_.col(k);
    return sigma.llt().solve(MatrixXd::Identity(l.rows(), l.rows()));
  }

  // Steps from loadings of zero stay there, and others leave a saddle slowly: common loadings give way to those of all
  // components pooled where these are better, and a factor that explains nothing to the one that F falls fastest for.
  void leave_saddle(const Scatter& s) {
    const Index d = s.d(), count = s.n_components();
    MatrixXd pooled = MatrixXd::Zero(d, d);
    VectorXd weight = VectorXd::Zero(d);
    for (Index k = 0; k < count; ++k) {
      const double share = s.n(k) / s.total();
      pooled += share * covariance_[static_cast<size_t>(k)];
      weight += share * psi_.col(k).cwiseInverse();
    }
    const VectorXd root = weight.cwiseInverse().cwiseSqrt();
    const VectorXd scale = weight.cwiseSqrt();
    const Eigenpairs pairs =
        leading_eigenpairs(scale.asDiagonal() * pooled * scale.asDiagonal(), q_, scale.asDiagonal() * loadings_[0]);
    take_common(s, root.asDiagonal() * pairs.vectors *
                       (pairs.values.array() - 1.0).max(0.0).sqrt().matrix().asDiagonal());
    const Eigen::JacobiSVD<MatrixXd> svd(scale.asDiagonal() * loadings_[0], Eigen::ComputeThinV);
    if (svd.singularValues()(q_ - 1) > kNoFactor) return;
    MatrixXd gradient = MatrixXd::Zero(d, d);
    for (Index k = 0; k < count; ++k) {
      const MatrixXd a = precision(k);
      gradient += s.n(k) / s.total() * (a - a * covariance_[static_cast<size_t>(k)] * a);
    }
    const Eigen::SelfAdjointEigenSolver<MatrixXd> steepest(root.asDiagonal() * gradient * root.asDiagonal());
    double size = std::sqrt(std::max(-steepest.eigenvalues()(0), 0.0));
    MatrixXd candidate = loadings_[0] * svd.matrixV();
    for (int halving = 0; halving < kHalvings && size > 0.0; ++halving, size *= 0.5) {
      candidate.col(q_ - 1) = size * root.cwiseProduct(steepest.eigenvectors().col(0));
      if (take_common(s, candidate)) return;
    }
  }

  bool take_common(const Scatter& s, const MatrixXd& candidate) {
    double now = 0.0, then = 0.0;
    for (Index k = 0; k < s.n_components(); ++k) {
      const size_t at = static_cast<size_t>(k);
      now += s.n(k) * value(at, loadings_[at], psi_.col(k));
      then += s.n(k) * value(at, candidate, psi_.col(k));
    }
    if (!(then < now - kSaddleGain * s.total())) return false;
    for (MatrixXd& l : loadings_) l = candidate;
    return true;
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
    MatrixXd residual(d, count);
    for (Index k = 0; k < count; ++k) {
      const size_t at = static_cast<size_t>(k);
      const MatrixXd& l = loadings_[at];
      VectorXd c = covariance_[at].diagonal() - 2.0 * l.cwiseProduct(beta_s[at].transpose()).rowwise().sum() +
                   (l * theta[at]).cwiseProduct(l).rowwise().sum();
      residual.col(k) = s.n(k) * c.cwiseMax(0.0);
    }
    set_.m_step(residual, s.n, psi_);
    change = (psi_.array() / before.array()).log().abs().maxCoeff();
    if (common_) {
      const VectorXd sd = (loadings_[0].rowwise().squaredNorm() + psi_.col(0)).cwiseSqrt();
      const MatrixXd moved = sd.cwiseInverse().asDiagonal() * (loadings_[0] - loadings_before);
      change = std::max(change, moved.cwiseAbs().maxCoeff());
    }
    return std::isfinite(change);
  }

  static constexpr double kLeastUniqueness = 1e-7;   // of the variance of the data
  static constexpr double kFirstUniqueness = 0.1;    // of a variable's variance, at a start
  static constexpr double kMemberTol = 1e-7;
  static constexpr double kCollinear = 1e-3;         // sine of an angle between variables at the bound
  static constexpr double kSaddleGain = 1e-6;        // of F, for each observation
  static constexpr double kNoFactor = 1e-4;          // size of loadings in units of the uniquenesses
  static constexpr double kRidge = 1e-10;
  static constexpr double kNewtonTol = 1e-10;        // of log psi
  static constexpr double kCycleTol = 1e-11;
  static constexpr double kLongestStep = 2.0;
  static constexpr int kHalvings = 12;
  static constexpr double kEnough = 0.1;             // of the descent of a call: a last step worth less ends it
  static constexpr int kColdNewton = 20;
  static constexpr int kWarmNewton = 3;
  static constexpr Index kMostNewton = 400;          // parameters of a Newton step
  static constexpr int kColdCycles = 50;
  static constexpr int kWarmCycles = 10;

  Index q_;
  bool common_;
  UniquenessSet set_;
  MatrixXd basis_;                     // of the set, where it is needed
  std::vector<MatrixXd> loadings_;     // one d x q matrix for each scatter matrix, equal ones where common
  MatrixXd psi_;                       // d x as many
  std::vector<MatrixXd> covariance_;   // S_k
  Index collapsed_ = -1;
};

}  // namespace emkit
