// Draws of mean and covariance from their posterior given incomplete data.
#pragma once
#include <vector>

#include "../math/random.h"
#include "mvn_missing.h"
#include "mvn_monotone.h"

namespace emkit {

// Data augmentation (Tanner & Wong 1987; Schafer 1997) on the moments of patterns: neither half of a step touches the rows.
//
// Given the parameters, the residuals E (n x m, rows N(0, C)) of a pattern's missing part enter the posterior through
// E'Z, Z = [1, X_o], and E'E alone. With Z = QR, E'Q has independent columns N(0, C) and E'E = E'Q Q'E + a Wishart matrix
// of n - rank(Z) degrees of freedom and scale C, independent of it: exact draws of the sums at a cost that does not depend
// on n. Given the sums, covariance and mean are normal-inverse-Wishart.
class DataAugmentation {
 public:
  // `prior`: its exponent and scale make an inverse Wishart posterior of n + exponent - d - 2 degrees of freedom.
  DataAugmentation(const PatternStatistics& data, const MvnPrior& prior)
      : data_(data), prior_(prior), step_(data.d()), sums_(data.d()) {
    for (const PatternGroup& g : data.groups()) roots_.push_back(Root(g));
  }

  double df() const { return data_.n() + prior_.exponent - static_cast<double>(data_.d()) - 2.0; }
  bool proper() const { return df() > static_cast<double>(data_.d()) - 1.0; }

  // One step from `point`, in place. False on numerical trouble.
  bool step(MvnPoint& point, CounterRng& rng) {
    sums_.reset();
    const std::vector<PatternGroup>& groups = data_.groups();
    for (size_t k = 0; k < groups.size(); ++k) {
      const PatternGroup& g = groups[k];
      if (g.n_missing() == 0) continue;
      if (!step_.prepare(point, g, true)) return false;
      if (g.by_rows)
        draw_rows(g, rng);
      else
        draw_sums(g, roots_[k], rng);
    }
    moments_.complete(data_, point, sums_);
    return draw_parameters(point, rng);
  }

 private:
  // Of a scatter matrix S = L L': the lower factor, columns of rank deficiency zero.
  struct Root {
    explicit Root(const PatternGroup& g) {
      if (g.by_rows || g.n_missing() == 0) return;
      const size_t o = g.n_observed();
      lower.assign(o * o, 0.0);
      for (size_t j = 0; j < o; ++j) {
        double pivot = g.scatter[j * o + j];
        for (size_t l = 0; l < j; ++l) pivot -= lower[j * o + l] * lower[j * o + l];
        if (!(pivot > 1e-11 * g.scatter[j * o + j]) || rank + 1 >= g.n_rows) continue;
        ++rank;
        const double root = std::sqrt(pivot);
        lower[j * o + j] = root;
        for (size_t i = j + 1; i < o; ++i) {
          double s = g.scatter[i * o + j];
          for (size_t l = 0; l < j; ++l) s -= lower[i * o + l] * lower[j * o + l];
          lower[i * o + j] = s / root;
        }
      }
    }
    std::vector<double> lower;  // o x o, row by row
    size_t rank = 0;
  };

  // count columns (m x count, row by row) of draws with the covariance C of the missing part.
  void draw_columns(size_t m, size_t count, CounterRng& rng, std::vector<double>& out) {
    out.resize(m * count);
    column_.resize(m);
    for (size_t c = 0; c < count; ++c) {
      draw_normals(rng, column_.data(), m);
      step_.correlate(column_.data());
      for (size_t i = 0; i < m; ++i) out[i * count + c] = column_[i];
    }
  }

  void draw_rows(const PatternGroup& g, CounterRng& rng) {
    const size_t d = data_.d(), m = g.n_missing();
    const std::vector<size_t>& mis = g.pattern->missing;
    const double* shift = step_.shift();
    row_.resize(d);
    mean_.resize(m);
    column_.resize(m);
    for (size_t r = 0; r < g.n_rows; ++r) {
      for (size_t j = 0; j < d; ++j) row_[j] = shift[j] + (g.rows ? g.rows[r * d + j] : 0.0);
      step_.expect(row_.data(), mean_.data());
      draw_normals(rng, column_.data(), m);
      step_.correlate(column_.data());
      for (size_t i = 0; i < m; ++i) column_[i] += mean_[i];
      for (size_t i = 0; i < m; ++i) {
        const double y = column_[i];
        double* cross = sums_.cross.data() + mis[i] * d;
        double* inner = sums_.inner.data() + mis[i] * d;
        for (size_t j = 0; j < d; ++j) cross[j] += y * row_[j];
        for (size_t j = 0; j < m; ++j) inner[mis[j]] += y * column_[j];
        sums_.first(static_cast<Index>(mis[i])) += y;
      }
    }
  }

  void draw_sums(const PatternGroup& g, const Root& root, CounterRng& rng) {
    const size_t d = data_.d(), m = g.n_missing(), o = g.n_observed();
    const std::vector<size_t>&mis = g.pattern->missing, &obs = g.pattern->observed;
    const double* b = step_.regression();
    const double* shift = step_.shift();
    const double root_n = std::sqrt(g.n);
    draw_columns(m, o + 1, rng, f_);  // column 0 for the mean, 1 + j for column j of the root (unused where it is zero)
    wishart(m, g.n - 1.0 - static_cast<double>(root.rank), rng);
    g_.assign(m * o, 0.0);
    h_.assign(m * o, 0.0);
    for (size_t i = 0; i < m; ++i) {
      double expected = 0.0;
      for (size_t l = 0; l < o; ++l) expected += b[i * o + l] * shift[obs[l]];
      const double f0 = f_[i * (o + 1)];
      sums_.first(static_cast<Index>(mis[i])) += g.n * expected + root_n * f0;
      double* gi = g_.data() + i * o;
      double* hi = h_.data() + i * o;
      for (size_t l = 0; l < o; ++l) {
        gi[l] = g.n * expected * shift[obs[l]];
        hi[l] = root_n * f0 * shift[obs[l]];
      }
      for (size_t h = 0; h < o; ++h)
        for (size_t l = 0; l < o; ++l) gi[l] += b[i * o + h] * g.scatter[h * o + l];
      for (size_t l = 0; l < o; ++l)
        for (size_t c = 0; c <= l; ++c) hi[l] += root.lower[l * o + c] * f_[i * (o + 1) + 1 + c];
      double* cross = sums_.cross.data() + mis[i] * d;
      for (size_t l = 0; l < o; ++l) cross[obs[l]] += gi[l] + hi[l];
    }
    for (size_t i = 0; i < m; ++i) {
      double* inner = sums_.inner.data() + mis[i] * d;
      for (size_t j = 0; j < m; ++j) {
        double s = wishart_[i * m + j] + f_[i * (o + 1)] * f_[j * (o + 1)];
        for (size_t l = 0; l < o; ++l) {
          if (root.lower[l * o + l] > 0.0) s += f_[i * (o + 1) + 1 + l] * f_[j * (o + 1) + 1 + l];
          s += (g_[i * o + l] + h_[i * o + l]) * b[j * o + l] + b[i * o + l] * h_[j * o + l];
        }
        inner[mis[j]] += s;
      }
    }
  }

  // A Wishart matrix of scale C into wishart_ (m x m).
  void wishart(size_t m, double df, CounterRng& rng) {
    wishart_.assign(m * m, 0.0);
    const double few = static_cast<double>(m) + 1.0;
    if (df < few) {
      for (double left = df; left > 0.5; left -= 1.0) {
        draw_normals(rng, column_.data(), m);
        step_.correlate(column_.data());
        for (size_t i = 0; i < m; ++i)
          for (size_t j = 0; j < m; ++j) wishart_[i * m + j] += column_[i] * column_[j];
      }
      return;
    }
    const Index size = static_cast<Index>(m);
    bartlett_.resize(size, size);
    draw_bartlett(rng, df, bartlett_);
    for (size_t c = 0; c < m; ++c) {
      for (size_t i = 0; i < m; ++i)
        column_[i] = i < c ? 0.0 : bartlett_(static_cast<Index>(i), static_cast<Index>(c));
      step_.correlate(column_.data());
      for (size_t i = 0; i < m; ++i)
        for (size_t j = 0; j < m; ++j) wishart_[i * m + j] += column_[i] * column_[j];
    }
  }

  bool draw_parameters(MvnPoint& point, CounterRng& rng) {
    const Index d = point.mean.size();
    const double n = data_.n();
    const VectorXd shift = moments_.first / n;
    MatrixXd s = moments_.second - n * shift * shift.transpose();
    if (prior_.scale.size() > 0) s += prior_.scale;
    const Eigen::LLT<MatrixXd> llt(s);
    if (llt.info() != Eigen::Success) return false;
    // Sigma = L A^-T A^-1 L' with A Bartlett's factor of a standard Wishart matrix.
    MatrixXd a(d, d);
    draw_bartlett(rng, df(), a);
    const MatrixXd inverse = a.triangularView<Eigen::Lower>().solve(MatrixXd::Identity(d, d));
    const MatrixXd factor = MatrixXd(llt.matrixL()) * inverse.transpose();
    MvnPoint next;
    next.covariance = factor * factor.transpose();
    VectorXd z(d);
    for (Index j = 0; j < d; ++j) z(j) = draw_normal(rng);
    next.mean = point.mean + shift + factor * z / std::sqrt(n);
    if (!next.factor()) return false;
    std::swap(point, next);
    return true;
  }

  const PatternStatistics& data_;
  MvnPrior prior_;
  std::vector<Root> roots_;
  MvnPatternStep step_;
  MvnSums sums_;
  MvnMoments moments_;
  MatrixXd bartlett_;
  std::vector<double> column_, row_, mean_, f_, g_, h_, wishart_;
};

// Monotone patterns: exact and independent draws, regression by regression, under the same prior |Sigma|^(-exponent / 2). In
// the coordinates of the regressions it is sigma_j^(2 (d - j) - exponent) for the j-th variable (from 1), so that its variance
// has n_j + exponent + j - 2 d - 2 degrees of freedom.
inline bool draw_monotone(const MonotoneFactorisation& m, double exponent, CounterRng& rng, MvnPoint& point) {
  const size_t d = m.order().size();
  std::vector<double> intercept, variance;
  std::vector<VectorXd> coefficients;
  for (size_t j = 0; j < d; ++j) {
    const MonotoneRegression& r = m.regressions()[j];
    const double df = r.n + exponent + static_cast<double>(j) - 2.0 * static_cast<double>(d) - 1.0;
    if (!(df > 0.0)) return false;
    const double sigma2 = r.residual / draw_chi_square(rng, df), sigma = std::sqrt(sigma2);
    const Index k = static_cast<Index>(j);
    VectorXd b = r.coefficients;
    if (k > 0) {
      VectorXd z(k);
      for (Index i = 0; i < k; ++i) z(i) = draw_normal(rng);
      b += sigma * r.root.triangularView<Eigen::Lower>().transpose().solve(z);
    }
    const double level = r.mean(k) + sigma / std::sqrt(r.n) * draw_normal(rng);
    intercept.push_back(level - b.dot(r.mean.head(k)));
    coefficients.push_back(b);
    variance.push_back(sigma2);
  }
  m.assemble(intercept, coefficients, variance, point.mean, point.covariance);
  return point.factor();
}

}  // namespace emkit
