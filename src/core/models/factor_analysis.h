// Factor analysis of complete data by maximum likelihood.
#pragma once
#include <limits>
#include <memory>
#include <vector>

#include "../em/model.h"
#include "../math/cholesky.h"
#include "factor_moments.h"
#include "factor_newton.h"

namespace emkit {

// The model Sigma = Lambda Lambda' + diag(psi) as a function of psi alone: given psi the best Lambda is an
// eigen-solution (Lawley and Maxwell 1971), which the E-step finds, and the M-step is a Newton step on log psi
// (Joreskog 1967). Halved too often it becomes EM's own update (Rubin and Thayer 1982), which never goes downhill.
// Labels are those of formulas.Rmd.
//
// A uniqueness may be 0 (a Heywood case). The variables of that set, the boundary, at most q of them, are factors
// themselves: the likelihood is that of a saturated normal distribution of them, and of a factor model with as many
// factors fewer for the residuals of all others (FA7). A uniqueness that shrinks is set to 0 if the likelihood is
// higher there, and let go again if the likelihood then rises with it.
class FactorAnalysis final : public EmModel {
 public:
  struct State {
    std::vector<Index> boundary;  // ascending
    VectorXd psi;                 // p, 0 on the boundary
    MatrixXd vectors;             // of the last eigen-solution: where the next one starts
  };

  FactorAnalysis(const FactorMoments& moments, Index n_factors, double n, int threads)
      : moments_(moments), q_(n_factors), n_(n), threads_(threads),
        tested_(VectorXd::Constant(moments.size(), std::numeric_limits<double>::infinity())) {}

  // Whether every eigenpair is found, for the exact Hessian: few variables, or too many factors for the approximation,
  // which lives on the others' eigenvalues being about 1 and averaging out.
  static bool dense(Index p, Index q) { return p <= 64 || (p <= 256 && p <= 12 * q); }

  const State& state() const { return state_; }
  bool set_state(const State& state) {
    const bool same_face = face_ && state.boundary == state_.boundary;
    state_ = state;
    previous_.resize(0);
    return same_face || make_face(state_.boundary, face_);
  }
  // Zeros (of the first q variables that have them) are on the boundary.
  bool set_uniquenesses(const VectorXd& psi) {
    State state;
    state.psi = psi.cwiseMax(kLeastShare * moments_.variances());
    for (Index j = 0; j < psi.size() && static_cast<Index>(state.boundary.size()) < q_; ++j) {
      if (psi(j) > 0.0) continue;
      state.psi(j) = 0.0;
      state.boundary.push_back(j);
    }
    return set_state(state);
  }

  Objective e_step() override {
    if (face_->factors == 0) state_.psi = spread(face_->moments().variances());
    profile_ = evaluate(*face_, gather(state_.psi), state_.vectors);
    state_.vectors = profile_.omega;
    gradient_ = profile_.gradient();
    return {loglik(*face_, profile_.value), 0.0};
  }

  bool m_step() override {
    moved_face_ = false;
    halvings_ = 0;
    old_state_ = state_;
    if (face_->factors > 0) {
      const VectorXd psi = gather(state_.psi);
      step_ = factor_direction(profile_, gradient_, exact_);
      if (!step_.allFinite() || !(step_.dot(gradient_) <= 0.0)) step_ = -gradient_;
      step_ = step_.cwiseMax(-kLongest).cwiseMin(kLongest);
      if (reach_boundary(psi) || degeneracy_) return !degeneracy_;
    }
    if (leave_boundary()) return true;
    if (face_->factors > 0) {
      previous_ = gather(state_.psi);
      old_gradient_ = gradient_;
      take(1.0);
    }
    return true;
  }

  // Coordinates: log psi; of the boundary, 0. None after a move to or from the boundary, nor after a Newton step with
  // the exact Hessian, which extrapolation would only spoil.
  size_t n_packed() const override { return static_cast<size_t>(moments_.size()); }
  bool pack(double* point) const override {
    if (moved_face_ || exact_) return false;
    for (Index j = 0; j < moments_.size(); ++j) point[j] = state_.psi(j) > 0.0 ? std::log(state_.psi(j)) : 0.0;
    return true;
  }
  bool unpack(const double* point) override {
    VectorXd psi = VectorXd::Zero(moments_.size());
    for (Index j : face_->parts.rest) {
      psi(j) = std::exp(point[j]);
      const double share = psi(j) / moments_.variances()(j);
      if (!(share > kLeastShare) || !(share < kLargestShare)) return false;
    }
    state_.psi = psi;
    return true;
  }

  // Also after an accelerator has gone back to the last m_step()'s point.
  bool shorten_step() override {
    if (previous_.size() == 0 || halvings_ > kHalvings) return false;
    ++halvings_;
    state_.vectors = old_state_.vectors;
    if (halvings_ <= kHalvings) {
      take(std::ldexp(1.0, -halvings_));
    } else {
      state_.psi = spread(em_update());
    }
    return true;
  }

  Degeneracy degeneracy() const override { return degeneracy_; }
  double rounding() const override {
    return 4.0 * n_ * std::numeric_limits<double>::epsilon() * profile_.ratio.sum();
  }

  const std::vector<Index>& boundary() const { return state_.boundary; }

  // p x q in canonical form: Lambda' Psi^-1 Lambda diagonal, decreasing; columns of boundary variables first. At the
  // point of the last e_step().
  MatrixXd loadings() const {
    const std::vector<Index>& rest = face_->parts.rest;
    const Index b = static_cast<Index>(state_.boundary.size());
    MatrixXd lambda = MatrixXd::Zero(moments_.size(), q_);
    if (b > 0) {
      // Principal components of the boundary variables, and the regressions of all others on them.
      const Eigen::SelfAdjointEigenSolver<MatrixXd> solver(face_->parts.inner);
      const VectorXd roots = solver.eigenvalues().reverse().cwiseSqrt();
      const MatrixXd own = solver.eigenvectors().rowwise().reverse() * roots.asDiagonal();
      const MatrixXd others =
          face_->parts.cross * solver.eigenvectors().rowwise().reverse() * roots.cwiseInverse().asDiagonal();
      for (Index j = 0; j < b; ++j) lambda.row(state_.boundary[static_cast<size_t>(j)]).head(b) = own.row(j);
      for (Index i = 0; i < others.rows(); ++i) lambda.row(rest[static_cast<size_t>(i)]).head(b) = others.row(i);
    }
    const VectorXd psi = gather(state_.psi);
    for (Index k = 0; k < profile_.active; ++k) {
      const VectorXd column =
          std::sqrt(profile_.gamma(k) - 1.0) * psi.cwiseSqrt().cwiseProduct(profile_.omega.col(k));
      for (size_t i = 0; i < rest.size(); ++i) lambda(rest[i], b + k) = column(static_cast<Index>(i));
    }
    return lambda;
  }

 private:
  // A boundary set, and the moments of all other variables given it.
  struct Face {
    FactorMoments::Split parts;
    Index factors = 0;
    double value = 0.0;  // log |S_bb| + |b|
    const FactorMoments* whole = nullptr;
    FactorMoments residual;
    const FactorMoments& moments() const { return whole ? *whole : residual; }
  };

  bool make_face(const std::vector<Index>& boundary, std::shared_ptr<const Face>& out) {
    auto face = std::make_shared<Face>();
    face->parts = moments_.split(boundary, threads_);
    face->factors = q_ - static_cast<Index>(boundary.size());
    if (boundary.empty()) {
      face->whole = &moments_;
    } else {
      Index singular = 0;
      if (!moments_.given(boundary, face->parts, face->residual, singular)) {
        degeneracy_.kind = Degeneracy::Kind::kSingular;
        degeneracy_.component = static_cast<size_t>(singular);
        return false;
      }
      const MatrixXd root = face->parts.inner.llt().matrixL();
      face->value = 2.0 * root.diagonal().array().log().sum() + static_cast<double>(boundary.size());
    }
    out = face;
    return true;
  }

  double loglik(const Face& face, double profile) const {
    return -0.5 * n_ * (static_cast<double>(moments_.size()) * kLog2Pi + face.value + profile);
  }

  // Between all variables and those off the boundary.
  VectorXd gather(const VectorXd& psi) const { return gather(*face_, psi); }
  static VectorXd gather(const Face& face, const VectorXd& psi) {
    VectorXd out(face.parts.cross.rows());
    for (Index i = 0; i < out.size(); ++i) out(i) = psi(face.parts.rest[static_cast<size_t>(i)]);
    return out;
  }
  VectorXd spread(const VectorXd& rest) const { return spread(*face_, rest); }
  VectorXd spread(const Face& face, const VectorXd& rest) const {
    VectorXd out = VectorXd::Zero(moments_.size());
    for (Index i = 0; i < rest.size(); ++i) out(face.parts.rest[static_cast<size_t>(i)]) = rest(i);
    return out;
  }

  FactorProfile evaluate(const Face& face, const VectorXd& psi, const MatrixXd& warm) const {
    const FactorMoments& s = face.moments();
    const VectorXd root = psi.cwiseSqrt().cwiseInverse();
    FactorProfile f;
    f.ratio = s.variances().cwiseQuotient(psi);
    f.value = psi.array().log().sum() + f.ratio.sum();
    if (face.factors == 0) {
      f.omega.resize(psi.size(), 0);
      return f;
    }
    Eigenpairs pairs;
    if (s.formed() && dense(s.size(), q_)) {
      pairs = all_eigenpairs(root.asDiagonal() * s.matrix() * root.asDiagonal());
    } else {
      const auto apply = [&](const MatrixXd& v) -> MatrixXd {
        return root.asDiagonal() * s.product(root.asDiagonal() * v, threads_);
      };
      BlockKrylov<decltype(apply)> solver(s.size(), face.factors, apply);
      pairs = solver.solve(warm, kEigenTolerance);
    }
    f.gamma = std::move(pairs.values);
    f.omega = std::move(pairs.vectors);
    for (Index k = 0; k < face.factors && f.gamma(k) > 1.0; ++k, ++f.active)
      f.value += std::log(f.gamma(k)) + 1.0 - f.gamma(k);
    return f;
  }

  // A part of the Newton step from the previous point.
  void take(double part) {
    const VectorXd& s = face_->moments().variances();
    const VectorXd psi = previous_.array() * (part * step_.array()).exp();
    state_.psi = spread(psi.cwiseMax(kLeastShare * s));
  }

  // diag(S - Lambda Lambda') of the previous point: psi (1 - gradient).
  VectorXd em_update() const { return previous_.array() * (1.0 - old_gradient_.array()).max(1e-3); }

  // Moves a variable whose uniqueness is small and shrinking to the boundary, if the likelihood is no lower there.
  bool reach_boundary(const VectorXd& psi) {
    for (Index i = 0; i < psi.size(); ++i) {
      const double share = psi(i) / face_->moments().variances()(i);
      const Index j = face_->parts.rest[static_cast<size_t>(i)];
      if (!(share < kSmallShare && share < 0.5 * tested_(j)) || !(gradient_(i) > 0.0)) continue;
      tested_(j) = share;
      std::vector<Index> boundary = state_.boundary;
      boundary.insert(std::lower_bound(boundary.begin(), boundary.end(), j), j);
      if (try_face(boundary, state_.psi, 0.0)) return true;
      if (degeneracy_) return false;
    }
    return false;
  }

  // Lets the variable go whose uniqueness would raise the likelihood most, if any; near the optimum of the others only.
  bool leave_boundary() {
    if (state_.boundary.empty() || (face_->factors > 0 && gradient_.cwiseAbs().maxCoeff() > 1e-2)) return false;
    const VectorXd slope = boundary_slopes();
    Index at;
    if (!(slope.minCoeff(&at) < -1e-8)) return false;
    const Index j = state_.boundary[static_cast<size_t>(at)];
    std::vector<Index> boundary = state_.boundary;
    boundary.erase(boundary.begin() + at);
    VectorXd psi = state_.psi;
    for (double share = 0.1; share > 1e-7; share *= 0.25) {
      psi(j) = share * moments_.variances()(j);
      if (try_face(boundary, psi, 1e-12)) return true;
    }
    return false;
  }

  // The derivatives of log |Sigma| + tr Sigma^-1 S by the boundary's psi, times these variables' variances (FA8).
  VectorXd boundary_slopes() const {
    const MatrixXd coefficients = face_->parts.inner.llt().solve(face_->parts.cross.transpose()).transpose();
    // W c with W the inverse of the residuals' model covariance.
    const VectorXd root = gather(state_.psi).cwiseSqrt().cwiseInverse();
    const auto omega = profile_.omega.leftCols(profile_.active);
    MatrixXd scaled = root.asDiagonal() * coefficients;
    const VectorXd shrink = 1.0 - profile_.gamma.head(profile_.active).array().inverse();
    scaled -= omega * (shrink.asDiagonal() * (omega.transpose() * scaled));
    const MatrixXd wc = root.asDiagonal() * scaled;
    const MatrixXd zwc = face_->moments().product(wc, threads_);
    VectorXd slope(wc.cols());
    for (Index j = 0; j < wc.cols(); ++j)
      slope(j) = (coefficients.col(j).dot(wc.col(j)) - wc.col(j).dot(zwc.col(j))) *
                 moments_.variances()(state_.boundary[static_cast<size_t>(j)]);
    return slope;
  }

  // Goes to another boundary set if the objective is higher there by `gain`, relatively.
  bool try_face(const std::vector<Index>& boundary, const VectorXd& psi, double gain) {
    std::shared_ptr<const Face> face;
    if (!make_face(boundary, face)) return false;
    const VectorXd& most = face->moments().variances();
    const VectorXd rest = face->factors == 0 ? most : VectorXd(gather(*face, psi).cwiseMin(most));
    const FactorProfile f = evaluate(*face, rest, MatrixXd());
    const double here = loglik(*face_, profile_.value), there = loglik(*face, f.value);
    if (!(there > here + gain * (1.0 + std::abs(here)))) return false;
    state_ = {boundary, spread(*face, rest), f.omega};
    face_ = face;
    previous_.resize(0);
    moved_face_ = true;
    return true;
  }

  static constexpr double kLongest = 2.0;       // of a step in log psi
  static constexpr double kSmallShare = 0.02;   // of its variance: a uniqueness that may be on its way to 0
  static constexpr double kLeastShare = 1e-9, kLargestShare = 10.0;
  static constexpr double kEigenTolerance = 1e-9;
  static constexpr int kHalvings = 6;

  const FactorMoments& moments_;
  Index q_;
  double n_;
  int threads_;
  State state_, old_state_;
  std::shared_ptr<const Face> face_;
  FactorProfile profile_;
  VectorXd gradient_, old_gradient_, step_, previous_;  // of the variables off the boundary
  VectorXd tested_;  // shares of the variance at which the variables were last tried on the boundary
  int halvings_ = 0;
  bool moved_face_ = false, exact_ = false;
  Degeneracy degeneracy_;
};

}  // namespace emkit
