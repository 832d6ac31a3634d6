// Rows under given parameters of a factor model: scores, missing cells, density.
#pragma once
#include <Eigen/Dense>
#include <atomic>
#include <cmath>
#include <limits>
#include <vector>

#include "../data/missing_patterns.h"
#include "../data/observations.h"
#include "../math/cholesky.h"
#include "../parallel/reduce.h"

namespace emkit {

// Where the results go, column-major; the data's missing cells in `imputed` (n x p, a copy of the data) are filled in.
struct FactorRowResults {
  double *regression, *bartlett, *imputed, *loglik;  // n x q, n x q (or null: not wanted), n x p, n
};

// One pattern: everything that is linear in the observed cells (formulas.Rmd, (U3), (U8)). The parameters are in units
// in which the model gives every variable variance 1.
class FactorPattern {
 public:
  // Variables with a uniqueness below `kSmall` are conditioned upon one by one, which stays accurate down to 0.
  FactorPattern(const Eigen::MatrixXd& loadings, const Eigen::VectorXd& uniquenesses,
                const std::vector<size_t>& observed, bool with_bartlett)
      : q_(loadings.cols()), o_(static_cast<Eigen::Index>(observed.size())), loadings_(o_, q_), psi_(o_) {
    for (Eigen::Index a = 0; a < o_; ++a) {
      loadings_.row(a) = loadings.row(static_cast<Eigen::Index>(observed[static_cast<size_t>(a)]));
      psi_(a) = uniquenesses(static_cast<Eigen::Index>(observed[static_cast<size_t>(a)]));
    }
    regress();
    if (with_bartlett) bartlett();
  }

  const Eigen::MatrixXd& regression_map() const { return regression_; }
  const Eigen::MatrixXd& bartlett_map() const { return bartlett_; }  // no columns: the factors are not determined

  double log_density(const Eigen::VectorXd& z) const {
    double s = constant_;
    if (plain_.rows() > 0) {
      const Eigen::VectorXd score = plain_ * z;  // Lambda' Psi^-1 z
      double squares = 0.0;
      for (Eigen::Index a = 0; a < o_; ++a)
        if (psi_(a) >= kSmall) squares += z(a) * z(a) / psi_(a);
      s -= 0.5 * (squares - root_.matrixL().solve(score).squaredNorm());
    }
    if (lines_.cols() > 0) s -= 0.5 * (lines_.transpose() * z).cwiseAbs2().cwiseQuotient(variances_).sum();
    return s;
  }

 private:
  static constexpr double kSmall = 1e-3;
  static constexpr double kLeastVariance = 1e-14;  // of a cell that the others determine

  void regress() {
    plain_.setZero(q_, o_);
    Eigen::MatrixXd information = Eigen::MatrixXd::Identity(q_, q_);
    constant_ = -0.5 * kLog2Pi * static_cast<double>(o_);
    std::vector<Eigen::Index> small;
    for (Eigen::Index a = 0; a < o_; ++a) {
      if (psi_(a) < kSmall) {
        small.push_back(a);
        continue;
      }
      plain_.col(a) = loadings_.row(a).transpose() / psi_(a);
      information.noalias() += plain_.col(a) * loadings_.row(a);
      constant_ -= 0.5 * std::log(psi_(a));
    }
    root_.compute(information);
    constant_ -= root_.matrixLLT().diagonal().array().log().sum();
    Eigen::MatrixXd covariance = root_.solve(Eigen::MatrixXd::Identity(q_, q_));
    regression_ = covariance * plain_;
    lines_.resize(o_, static_cast<Eigen::Index>(small.size()));
    variances_.resize(static_cast<Eigen::Index>(small.size()));
    for (size_t k = 0; k < small.size(); ++k) {
      const Eigen::Index a = small[k], at = static_cast<Eigen::Index>(k);
      const Eigen::VectorXd l = loadings_.row(a).transpose(), u = covariance * l;
      lines_.col(at) = -(regression_.transpose() * l);
      lines_(a, at) += 1.0;
      variances_(at) = std::max(psi_(a) + l.dot(u), kLeastVariance);
      constant_ -= 0.5 * std::log(variances_(at));
      if (variances_(at) == kLeastVariance) continue;
      regression_ += (u / variances_(at)) * lines_.col(at).transpose();
      covariance -= u * (u / variances_(at)).transpose();
    }
  }

  // Weighted least squares on the observed cells, those with uniqueness 0 being met exactly (or, where they contradict
  // each other, by least squares). Nothing here is larger than o x q.
  void bartlett() {
    std::vector<Eigen::Index> exact, noisy;
    for (Eigen::Index a = 0; a < o_; ++a) (psi_(a) > kExact ? noisy : exact).push_back(a);
    const Eigen::Index h = static_cast<Eigen::Index>(exact.size()), m = static_cast<Eigen::Index>(noisy.size());
    Eigen::MatrixXd fixed(h, q_), free(m, q_);
    for (Eigen::Index k = 0; k < h; ++k) fixed.row(k) = loadings_.row(exact[static_cast<size_t>(k)]);
    for (Eigen::Index k = 0; k < m; ++k) {
      const Eigen::Index a = noisy[static_cast<size_t>(k)];
      free.row(k) = loadings_.row(a) / std::sqrt(psi_(a));
    }
    Eigen::MatrixXd of_fixed = Eigen::MatrixXd::Zero(q_, h);   // the pseudo-inverse of `fixed`
    Eigen::MatrixXd rest = Eigen::MatrixXd::Identity(q_, q_);  // directions that exact cells leave open
    if (h > 0) {
      const Eigen::JacobiSVD<Eigen::MatrixXd> svd(fixed, Eigen::ComputeFullU | Eigen::ComputeFullV);
      const Eigen::VectorXd d = svd.singularValues();
      Eigen::Index rank = 0;
      while (rank < d.size() && d(rank) > kRankTolerance * d(0)) ++rank;
      for (Eigen::Index k = 0; k < rank; ++k)
        of_fixed += svd.matrixV().col(k) * (svd.matrixU().col(k).transpose() / d(k));
      rest = svd.matrixV().rightCols(q_ - rank).eval();
    }
    bartlett_.resize(q_, 0);
    const Eigen::Index r = rest.cols();
    Eigen::MatrixXd of_free = Eigen::MatrixXd::Zero(q_, m);  // what the others say of those directions
    if (r > 0) {
      if (m < r) return;
      Eigen::ColPivHouseholderQR<Eigen::MatrixXd> qr(free * rest);
      qr.setThreshold(kRankTolerance);
      if (qr.rank() < r) return;
      const Eigen::MatrixXd basis = qr.householderQ() * Eigen::MatrixXd::Identity(m, r);
      const Eigen::MatrixXd root = qr.matrixR().topRows(r);
      of_free = rest * (qr.colsPermutation() * root.triangularView<Eigen::Upper>().solve(basis.transpose()));
      of_fixed -= of_free * (free * of_fixed);
    }
    bartlett_.resize(q_, o_);
    for (Eigen::Index k = 0; k < h; ++k) bartlett_.col(exact[static_cast<size_t>(k)]) = of_fixed.col(k);
    for (Eigen::Index k = 0; k < m; ++k) {
      const Eigen::Index a = noisy[static_cast<size_t>(k)];
      bartlett_.col(a) = of_free.col(k) / std::sqrt(psi_(a));
    }
  }

  static constexpr double kExact = 1e-12;
  static constexpr double kRankTolerance = 1e-9;

  Eigen::Index q_, o_;
  Eigen::MatrixXd loadings_;  // o x q
  Eigen::VectorXd psi_;
  Eigen::MatrixXd plain_, regression_, bartlett_;  // q x o
  Eigen::MatrixXd lines_;                          // o x s: innovations of the cells with small uniquenesses
  Eigen::VectorXd variances_;
  Eigen::LLT<Eigen::MatrixXd> root_;
  double constant_ = 0.0;
};

// Scores, imputations and log densities of all rows. Parameters in the units of the data; uniquenesses may be 0.
inline void evaluate_factor_rows(const RawData& raw, const Eigen::VectorXd& mean, const Eigen::MatrixXd& loadings,
                                 const Eigen::VectorXd& uniquenesses, int threads, const FactorRowResults& out) {
  const Eigen::Index q = loadings.cols();
  Eigen::VectorXd unit = (loadings.rowwise().squaredNorm() + uniquenesses).cwiseSqrt();
  for (Eigen::Index j = 0; j < unit.size(); ++j)
    if (!(unit(j) > 0.0)) unit(j) = 1.0;
  const Eigen::MatrixXd scaled = unit.cwiseInverse().asDiagonal() * loadings;
  const Eigen::VectorXd noise = uniquenesses.cwiseQuotient(unit.cwiseAbs2());
  const ObservedBits bits(raw.x, raw.n, raw.d);
  const RowGroups groups = group_rows_by_pattern(
      bits, raw.d, raw.n, [](size_t i) { return i; }, [](size_t) { return true; });
  constexpr size_t kPieceRows = 1024;
  struct Piece {
    size_t pattern, begin, end;
  };
  std::vector<Piece> pieces;
  for (size_t p = 0; p < groups.patterns.size(); ++p)
    for (size_t b = groups.patterns[p].begin; b < groups.patterns[p].end; b += kPieceRows)
      pieces.push_back({p, b, std::min<size_t>(b + kPieceRows, groups.patterns[p].end)});
  parallel_tasks(pieces.size(), raw.n < kPieceRows ? 1 : threads, [&](size_t i) {
    const Pattern& pattern = groups.patterns[pieces[i].pattern];
    const FactorPattern model(scaled, noise, pattern.observed, out.bartlett != nullptr);
    const size_t o = pattern.observed.size();
    double log_unit = 0.0;
    for (size_t j : pattern.observed) log_unit += std::log(unit(static_cast<Eigen::Index>(j)));
    Eigen::VectorXd z(static_cast<Eigen::Index>(o));
    for (size_t position = pieces[i].begin; position < pieces[i].end; ++position) {
      const size_t row = groups.order[position];
      for (size_t l = 0; l < o; ++l) {
        const Eigen::Index j = static_cast<Eigen::Index>(pattern.observed[l]);
        z(static_cast<Eigen::Index>(l)) = (raw.x[pattern.observed[l] * raw.n + row] - mean(j)) / unit(j);
      }
      const Eigen::VectorXd f = model.regression_map() * z;
      for (Eigen::Index a = 0; a < q; ++a) out.regression[static_cast<size_t>(a) * raw.n + row] = f(a);
      if (out.bartlett) {
        const bool determined = model.bartlett_map().cols() == static_cast<Eigen::Index>(o) && o > 0;
        const Eigen::VectorXd g = determined ? Eigen::VectorXd(model.bartlett_map() * z)
                                             : Eigen::VectorXd::Constant(q, std::numeric_limits<double>::quiet_NaN());
        for (Eigen::Index a = 0; a < q; ++a) out.bartlett[static_cast<size_t>(a) * raw.n + row] = g(a);
      }
      for (size_t j : pattern.missing) {
        const Eigen::Index v = static_cast<Eigen::Index>(j);
        out.imputed[j * raw.n + row] = mean(v) + loadings.row(v).dot(f);
      }
      out.loglik[row] = model.log_density(z) - log_unit;
    }
  });
}

}  // namespace emkit
