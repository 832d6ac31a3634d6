// Score and information of a normal distribution with missing values, in closed form.
#pragma once
#include <vector>

#include "mvn_missing.h"

namespace emkit {

// Coordinates: the means, then the lower triangle of the covariance by columns (d + d (d + 1) / 2).
//
// With W = Sigma_oo^-1 and V the second moments about the mean of a pattern's n rows, both set among zeros, and
// N = W V W - n W / 2, minus the second derivative of the log-likelihood is (formulas.Rmd, N4)
//   mean x mean              n W
//   mean c x covariance E    n W E W s                        s: the shift of the pattern's mean
//   covariance E x F         tr(F W E N)
// With E = e_a e_b' + e_b e_a' these are sums of products W_ij N_kl, so that the sum over patterns is one matrix product
// of the stacked lower triangles of all W with those of all N. Expected information (of the pattern given): V = n W^-1.
class MvnInformation {
 public:
  enum class Kind { kObserved, kExpected };

  MvnInformation(const MvnMissing& model, int threads) : model_(model), d_(model.data().d()), threads_(threads) {}

  size_t n_parameters() const { return d_ + packed_size(d_); }

  // Of the objective: the prior's curvature is part of it. Call after e_step(). False on numerical trouble.
  bool compute(Kind kind, MatrixXd& information) const {
    const Index q = static_cast<Index>(packed_size(d_)), d = static_cast<Index>(d_);
    MatrixXd mean_mean = MatrixXd::Zero(d, d), mean_cov = MatrixXd::Zero(q, d), cov_cov = MatrixXd::Zero(q, q);
    const std::vector<PatternGroup>& groups = model_.data().groups();
    const size_t batch = 64;
    for (size_t begin = 0; begin < groups.size(); begin += batch) {
      const size_t end = std::min(begin + batch, groups.size());
      const Index count = static_cast<Index>(end - begin);
      MatrixXd w = MatrixXd::Zero(q, count), n = MatrixXd::Zero(q, count), ws = MatrixXd::Zero(d, count);
      std::vector<unsigned char> fine(end - begin, 1);
      parallel_tasks(end - begin, threads_, [&](size_t i) {
        const Index column = static_cast<Index>(i);
        fine[i] = stack(kind, groups[begin + i], w.col(column), n.col(column), ws.col(column));
      });
      for (unsigned char f : fine)
        if (!f) return false;
      for (Index i = 0; i < count; ++i) {
        const double weight = groups[begin + static_cast<size_t>(i)].n;
        Index at = 0;
        for (Index c = 0; c < d; ++c)
          for (Index r = c; r < d; ++r, ++at) {
            mean_mean(r, c) += weight * w(at, i);
            if (r != c) mean_mean(c, r) += weight * w(at, i);
          }
        ws.col(i) *= weight;
      }
      mean_cov.noalias() += w * ws.transpose();
      multiply(w, n, cov_cov);
    }
    add_prior(cov_cov);
    information = assemble(mean_mean, mean_cov, cov_cov);
    return information.allFinite();
  }

  // Of complete data with as many rows as these (and the prior).
  MatrixXd complete() const {
    const Index q = static_cast<Index>(packed_size(d_)), d = static_cast<Index>(d_);
    const MatrixXd& k = model_.point().precision;
    VectorXd w(q);
    lower(k, w);
    const double n = model_.data().n();
    MatrixXd cov_cov = 0.5 * n * w * w.transpose();
    add_prior(cov_cov);
    return assemble(n * k, MatrixXd::Zero(q, d), cov_cov);
  }

  // Of the objective, at the point of the last e_step().
  VectorXd score() const {
    const MvnPoint& p = model_.point();
    const double n = model_.data().n() + model_.prior().exponent;
    MatrixXd second = model_.second_moment();
    if (model_.prior().scale.size() > 0) second += model_.prior().scale;
    const MatrixXd g = 0.5 * (p.precision * second * p.precision - n * p.precision);
    VectorXd s(static_cast<Index>(n_parameters()));
    s.head(static_cast<Index>(d_)) = p.precision * model_.first_moment();
    Index at = static_cast<Index>(d_);
    for (Index c = 0; c < g.cols(); ++c)
      for (Index r = c; r < g.rows(); ++r, ++at) s(at) = r == c ? g(r, r) : g(r, c) + g(c, r);
    return s;
  }

  // n s' Sigma_oo^-1 s of every group, s the shift of its mean: the parts of Little's (1988) test. Empty on trouble.
  std::vector<double> shift_distances() const {
    std::vector<double> out;
    for (const PatternGroup& g : model_.data().groups()) {
      MatrixXd w;
      if (!observed_precision(*g.pattern, w)) return {};
      VectorXd shift = VectorXd::Zero(static_cast<Index>(d_));
      for (size_t j : g.pattern->observed)
        shift(static_cast<Index>(j)) = g.mean[j] - model_.point().mean(static_cast<Index>(j));
      out.push_back(g.n * shift.dot(w * shift));
    }
    return out;
  }

  // The sum over rows of the weight (or its square) times the outer product of the row's score (of the log-likelihood).
  // `rows`: the data that the statistics were made of.
  bool score_products(const Observations& rows, bool squared_weights, MatrixXd& out) const {
    const Index size = static_cast<Index>(n_parameters()), d = static_cast<Index>(d_);
    out = MatrixXd::Zero(size, size);
    const size_t block = 256;
    const RawData& raw = rows.raw();
    for (const Pattern& pattern : rows.patterns()) {
      MatrixXd w;
      if (!observed_precision(pattern, w)) return false;
      VectorXd lower_w(size - d);
      lower(w, lower_w);
      for (size_t begin = pattern.begin; begin < pattern.end; begin += block) {
        const size_t end = std::min(begin + block, pattern.end);
        MatrixXd scores(size, static_cast<Index>(end - begin));
        parallel_tasks(end - begin, threads_, [&](size_t i) {
          const size_t row = rows.row(begin + i);
          VectorXd x = VectorXd::Zero(d);
          for (size_t j : pattern.observed) {
            const double v = (raw.x[j * raw.n + row] - rows.center()[j]) / rows.scale()[j];
            x(static_cast<Index>(j)) = v - model_.point().mean(static_cast<Index>(j));
          }
          const VectorXd u = w * x;
          auto s = scores.col(static_cast<Index>(i));
          s.head(d) = u;
          Index at = d;
          for (Index c = 0; c < d; ++c)
            for (Index r = c; r < d; ++r, ++at) s(at) = (r == c ? 0.5 : 1.0) * (u(r) * u(c) - lower_w(at - d));
          const double weight = raw.weights ? raw.weights[row] : 1.0;
          s *= squared_weights ? weight : std::sqrt(weight);
        });
        out.selfadjointView<Eigen::Lower>().rankUpdate(scores);
      }
    }
    out.triangularView<Eigen::StrictlyUpper>() = out.transpose();
    return true;
  }

 private:
  // The lower triangle of `a` by columns.
  template <class Out>
  static void lower(const MatrixXd& a, Out&& out) {
    Index at = 0;
    for (Index c = 0; c < a.cols(); ++c)
      for (Index r = c; r < a.rows(); ++r) out(at++) = a(r, c);
  }
  // Position of entry (r, c) in it.
  Index at(Index r, Index c) const {
    if (r < c) std::swap(r, c);
    const Index d = static_cast<Index>(d_);
    return c * d - c * (c - 1) / 2 + r - c;
  }

  // Sigma_oo^-1 among zeros.
  bool observed_precision(const Pattern& pattern, MatrixXd& w) const {
    const MvnPoint& p = model_.point();
    const Index d = static_cast<Index>(d_), o = static_cast<Index>(pattern.observed.size());
    if (pattern.complete()) {
      w = p.precision;
      return true;
    }
    MatrixXd s(o, o);
    for (Index b = 0; b < o; ++b)
      for (Index a = 0; a < o; ++a) s(a, b) = p.covariance(index(pattern, a), index(pattern, b));
    const Eigen::LLT<MatrixXd> llt(s);
    if (llt.info() != Eigen::Success) return false;
    s = llt.solve(MatrixXd::Identity(o, o));
    w = MatrixXd::Zero(d, d);
    for (Index b = 0; b < o; ++b)
      for (Index a = 0; a < o; ++a) w(index(pattern, a), index(pattern, b)) = s(a, b);
    return true;
  }
  static Index index(const Pattern& pattern, Index i) {
    return static_cast<Index>(pattern.observed[static_cast<size_t>(i)]);
  }

  template <class Column>
  bool stack(Kind kind, const PatternGroup& g, Column w_out, Column n_out, Column ws_out) const {
    const Index d = static_cast<Index>(d_);
    MatrixXd w;
    if (!observed_precision(*g.pattern, w)) return false;
    MatrixXd v = MatrixXd::Zero(d, d);
    VectorXd shift = VectorXd::Zero(d);
    if (kind == Kind::kObserved) {
      for (size_t j : g.pattern->observed)
        shift(static_cast<Index>(j)) = g.mean[j] - model_.point().mean(static_cast<Index>(j));
      v = g.n * shift * shift.transpose();
      if (g.scatter) {
        const size_t o = g.n_observed();
        for (size_t b = 0; b < o; ++b)
          for (size_t a = 0; a < o; ++a)
            v(static_cast<Index>(g.pattern->observed[a]), static_cast<Index>(g.pattern->observed[b])) +=
                g.scatter[a * o + b];
      } else if (g.rows) {
        const Eigen::Map<const MatrixXd> rows(g.rows, d, static_cast<Index>(g.n_rows));
        v.noalias() += rows * rows.transpose();
      }
      v = (w * v * w - 0.5 * g.n * w).eval();
    } else {
      v = 0.5 * g.n * w;
    }
    lower(w, w_out);
    lower(v, n_out);
    ws_out = w * shift;
    return true;
  }

  // out += w n', by blocks of columns on all threads.
  void multiply(const MatrixXd& w, const MatrixXd& n, MatrixXd& out) const {
    const Index q = out.cols(), block = 64;
    parallel_tasks(static_cast<size_t>((q + block - 1) / block), q > 200 ? threads_ : 1, [&](size_t i) {
      const Index begin = static_cast<Index>(i) * block, count = std::min(block, q - begin);
      out.middleCols(begin, count).noalias() += w * n.middleRows(begin, count).transpose();
    });
  }

  // A prior is like a complete pattern of n = exponent rows with V = scale, but for the mean.
  void add_prior(MatrixXd& cov_cov) const {
    const MvnPrior& prior = model_.prior();
    if (prior.flat()) return;
    const MatrixXd& k = model_.point().precision;
    MatrixXd n = -0.5 * prior.exponent * k;
    if (prior.scale.size() > 0) n += k * prior.scale * k;
    VectorXd w(cov_cov.rows()), v(cov_cov.rows());
    lower(k, w);
    lower(n, v);
    cov_cov += w * v.transpose();
  }

  // From sums of W_ij N_kl (rows ij, columns kl) to the information about the lower triangle of the covariance.
  MatrixXd assemble(const MatrixXd& mean_mean, const MatrixXd& mean_cov, const MatrixXd& cov_cov) const {
    const Index d = static_cast<Index>(d_), q = cov_cov.rows();
    MatrixXd out(d + q, d + q);
    out.topLeftCorner(d, d) = mean_mean;
    std::vector<std::pair<Index, Index>> cells;
    for (Index c = 0; c < d; ++c)
      for (Index r = c; r < d; ++r) cells.push_back({r, c});
    parallel_tasks(static_cast<size_t>(q), q > 200 ? threads_ : 1, [&](size_t j) {
      const Index a = cells[j].first, b = cells[j].second, column = static_cast<Index>(j);
      const double half_e = a == b ? 0.5 : 1.0;
      for (Index i = 0; i < q; ++i) {
        const Index c = cells[static_cast<size_t>(i)].first, e = cells[static_cast<size_t>(i)].second;
        const double s = cov_cov(at(e, a), at(b, c)) + cov_cov(at(e, b), at(a, c)) + cov_cov(at(c, a), at(b, e)) +
                         cov_cov(at(c, b), at(a, e));
        out(d + i, d + column) = s * half_e * (c == e ? 0.5 : 1.0);
      }
      for (Index i = 0; i < d; ++i) {
        const double s = mean_cov(at(i, a), b) + mean_cov(at(i, b), a);
        out(i, d + column) = out(d + column, i) = s * half_e;
      }
    });
    return 0.5 * (out + out.transpose());
  }

  const MvnMissing& model_;
  size_t d_;
  int threads_;
};

}  // namespace emkit
