// Score and information of a normal distribution with missing values, in closed form.
#pragma once
#include <vector>

#include "mvn_missing.h"

namespace emkit {

// Whitened coordinates: with Sigma = L L' at the point, a change of the mean is L a and one of the covariance L A L', with
// a (d) and then the lower triangle of A by columns (d (d + 1) / 2). In them complete data have a diagonal information
// matrix, so that nothing is lost where variables are highly correlated.
//
// With W = Sigma_oo^-1 and V the second moments about the mean of a pattern's n rows, both set among zeros, and
// N = W V W - n W / 2, minus the second derivative of the log-likelihood is (formulas.Rmd, N4)
//   mean x mean              n W
//   mean c x covariance E    n W E W s                        s: the shift of the pattern's mean
//   covariance E x F         tr(F W E N)
// in any linear coordinates. Whitened, W is Z'Z with Z = R^-1 L_o and Sigma_oo = R R': by an orthogonal factorisation
// L_o' = Q R' it is the projection Q Q'. With E = e_a e_b' + e_b e_a' the above are sums of products W_ij N_kl, so that the
// sum over patterns is one matrix product of the stacked lower triangles of all W with those of all N. Expected
// information (of the pattern given): V = n W^-1.
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
      parallel_tasks(end - begin, threads_, [&](size_t i) {
        const Index column = static_cast<Index>(i);
        stack(kind, groups[begin + i], w.col(column), n.col(column), ws.col(column));
      });
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

  // The diagonal of the information of complete data with as many rows as these.
  VectorXd complete() const {
    VectorXd out(static_cast<Index>(n_parameters()));
    const double n = model_.data().n();
    out.head(static_cast<Index>(d_)).setConstant(n);
    Index at = static_cast<Index>(d_);
    for (size_t c = 0; c < d_; ++c)
      for (size_t r = c; r < d_; ++r, ++at) out(at) = r == c ? 0.5 * n : n;
    return out;
  }

  // Of the objective, at the point of the last e_step().
  VectorXd score() const {
    const MvnPoint& p = model_.state();
    const Index d = static_cast<Index>(d_);
    const double n = model_.data().n() + model_.prior().exponent;
    MatrixXd second = model_.second_moment();
    if (model_.prior().scale.size() > 0) second += model_.prior().scale;
    const MatrixXd g = 0.5 * (whiten(second) - n * MatrixXd::Identity(d, d));
    VectorXd s(static_cast<Index>(n_parameters()));
    s.head(d) = p.root.triangularView<Eigen::Lower>().solve(model_.first_moment());
    Index at = d;
    for (Index c = 0; c < d; ++c)
      for (Index r = c; r < d; ++r, ++at) s(at) = r == c ? g(r, r) : g(r, c) + g(c, r);
    return s;
  }

  // A change in whitened coordinates as one of the mean and of the covariance.
  void unwhiten(const VectorXd& change, VectorXd& mean, MatrixXd& covariance) const {
    const MatrixXd& l = model_.state().root;
    const Index d = static_cast<Index>(d_);
    MatrixXd a(d, d);
    Index at = d;
    for (Index c = 0; c < d; ++c)
      for (Index r = c; r < d; ++r, ++at) a(r, c) = a(c, r) = change(at);
    mean = l * change.head(d);
    covariance = l * a * l.transpose();
  }

  // The derivative of the means and the lower triangle of the covariance by columns by the whitened coordinates.
  MatrixXd jacobian() const {
    const Index d = static_cast<Index>(d_), size = static_cast<Index>(n_parameters());
    const MatrixXd& l = model_.state().root;
    MatrixXd out = MatrixXd::Zero(size, size);
    out.topLeftCorner(d, d) = l;
    Index column = d;
    for (Index b = 0; b < d; ++b)
      for (Index a = b; a < d; ++a, ++column) {
        Index row = d;
        for (Index c = 0; c < d; ++c)
          for (Index r = c; r < d; ++r, ++row) {
            const double first = l(r, a) * l(c, b);
            out(row, column) = a == b ? first : first + l(r, b) * l(c, a);
          }
      }
    return out;
  }

  // n s' Sigma_oo^-1 s of every group, s the shift of its mean: the parts of Little's (1988) test.
  std::vector<double> shift_distances() const {
    std::vector<double> out;
    for (const PatternGroup& g : model_.data().groups()) {
      const Block block(model_.state(), g.pattern->observed, nullptr, 0);
      out.push_back(g.n * block.whiten(shift_of(g)).squaredNorm());
    }
    return out;
  }

  // The sum over rows of the weight (or its square) times the outer product of the row's score (of the log-likelihood).
  // `rows`: the data that the statistics were made of.
  MatrixXd score_products(const Observations& rows, bool squared_weights) const {
    const Index size = static_cast<Index>(n_parameters()), d = static_cast<Index>(d_);
    MatrixXd out = MatrixXd::Zero(size, size);
    const size_t batch = 256;
    const RawData& raw = rows.raw();
    for (const Pattern& pattern : rows.patterns()) {
      const Block block(model_.state(), pattern.observed, nullptr, 0);
      VectorXd w(size - d);
      lower(block.projection(), w);
      for (size_t begin = pattern.begin; begin < pattern.end; begin += batch) {
        const size_t end = std::min(begin + batch, pattern.end);
        MatrixXd scores(size, static_cast<Index>(end - begin));
        parallel_tasks(end - begin, threads_, [&](size_t i) {
          const size_t row = rows.row(begin + i);
          VectorXd x(static_cast<Index>(pattern.observed.size()));
          for (size_t o = 0; o < pattern.observed.size(); ++o) {
            const size_t j = pattern.observed[o];
            x(static_cast<Index>(o)) = (raw.x[j * raw.n + row] - rows.center()[j]) / rows.scale()[j] -
                                       model_.state().mean(static_cast<Index>(j));
          }
          const VectorXd u = block.z.transpose() * block.whiten(x);
          auto s = scores.col(static_cast<Index>(i));
          s.head(d) = u;
          Index at = d;
          for (Index c = 0; c < d; ++c)
            for (Index r = c; r < d; ++r, ++at) s(at) = (r == c ? 0.5 : 1.0) * (u(r) * u(c) - w(at - d));
          const double weight = raw.weights ? raw.weights[row] : 1.0;
          s *= squared_weights ? weight : std::sqrt(weight);
        });
        out.selfadjointView<Eigen::Lower>().rankUpdate(scores);
      }
    }
    out.triangularView<Eigen::StrictlyUpper>() = out.transpose();
    return out;
  }

 private:
  // The block of known cells: Sigma_oo = R R', Z = R^-1 L_o (o x d). Cells with priors are known with an error: the prior
  // N(a, sd^2) of a cell is, as a function of the parameters, the likelihood of observing a with an error of standard
  // deviation sd.
  struct Block {
    Block(const MvnPoint& point, const std::vector<size_t>& known, const CellPrior* priors, size_t n_priors) {
      const Index d = point.mean.size(), o = static_cast<Index>(known.size()), e = static_cast<Index>(n_priors);
      MatrixXd rows = MatrixXd::Zero(d + e, o);  // L_o' with the errors below
      for (Index i = 0; i < o; ++i) rows.col(i).head(d) = point.root.row(static_cast<Index>(known[static_cast<size_t>(i)]));
      for (Index i = 0; i < e; ++i) rows(d + i, o - e + i) = priors[i].sd;
      const Eigen::HouseholderQR<MatrixXd> qr(rows);
      const MatrixXd q = qr.householderQ() * MatrixXd::Identity(d + e, o);
      root = qr.matrixQR().topRows(o).triangularView<Eigen::Upper>().transpose();
      z = q.topRows(d).transpose();
    }
    VectorXd whiten(const VectorXd& x) const { return root.triangularView<Eigen::Lower>().solve(x); }
    MatrixXd projection() const { return z.transpose() * z; }

    MatrixXd root, z;
  };

  // L^-1 a L^-T.
  MatrixXd whiten(const MatrixXd& a) const {
    const auto l = model_.state().root.triangularView<Eigen::Lower>();
    const MatrixXd half = l.solve(a);
    return l.solve(MatrixXd(half.transpose()));
  }

  // Shift of the mean of a group's observed cells.
  VectorXd shift_of(const PatternGroup& g) const {
    const std::vector<size_t>& obs = g.pattern->observed;
    VectorXd shift(static_cast<Index>(obs.size()));
    for (size_t i = 0; i < obs.size(); ++i)
      shift(static_cast<Index>(i)) = g.mean[obs[i]] - model_.state().mean(static_cast<Index>(obs[i]));
    return shift;
  }

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

  template <class Column>
  void stack(Kind kind, const PatternGroup& g, Column w_out, Column n_out, Column ws_out) const {
    std::vector<size_t> known = g.pattern->observed;
    for (size_t p = 0; p < g.n_priors; ++p) known.push_back(g.priors[p].column);
    const Block block(model_.state(), known, g.priors, g.n_priors);
    const Index o = static_cast<Index>(g.n_observed()), k = static_cast<Index>(known.size());
    MatrixXd v = 0.5 * g.n * MatrixXd::Identity(k, k);  // R^-1 V R^-T - n / 2
    VectorXd shift = VectorXd::Zero(k);
    if (kind == Kind::kObserved) {
      shift.head(o) = shift_of(g);
      for (Index p = 0; p < k - o; ++p)
        shift(o + p) = g.priors[p].mean - model_.state().mean(static_cast<Index>(g.priors[p].column));
      shift = block.whiten(shift);
      v = g.n * shift * shift.transpose() - v;
      if (g.scatter) {
        const auto root = block.root.triangularView<Eigen::Lower>();
        const MatrixXd half = root.solve(Eigen::Map<const MatrixXd>(g.scatter, o, o));
        v += root.solve(MatrixXd(half.transpose()));
      } else if (g.rows) {
        MatrixXd rows(o, static_cast<Index>(g.n_rows));
        for (Index r = 0; r < rows.cols(); ++r)
          for (Index i = 0; i < o; ++i)
            rows(i, r) = g.rows[static_cast<size_t>(r) * d_ + g.pattern->observed[static_cast<size_t>(i)]];
        const MatrixXd half = block.root.triangularView<Eigen::Lower>().solve(rows);
        v.noalias() += half * half.transpose();
      }
    }
    lower(block.projection(), w_out);
    lower(MatrixXd(block.z.transpose() * v * block.z), n_out);
    ws_out = block.z.transpose() * shift;
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
    const Index d = static_cast<Index>(d_);
    MatrixXd n = -0.5 * prior.exponent * MatrixXd::Identity(d, d);
    if (prior.scale.size() > 0) n += whiten(prior.scale);
    VectorXd w(cov_cov.rows()), v(cov_cov.rows());
    lower(MatrixXd::Identity(d, d), w);
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
