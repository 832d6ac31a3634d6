// Imputations from the latent normal model: a chain of data augmentation for each (Tanner & Wong 1987; Schafer 1997),
// started at the mode; or fits to bootstrap weights; or conditional means. Imputation i is a function of the key and i
// alone.
#pragma once
#include "latent_normal_fit.h"

namespace emkit {

// An independent stream for each purpose and number.
inline std::uint64_t latent_stream(std::uint64_t purpose, std::uint64_t i) {
  return purpose << 48 | i;
}
enum : std::uint64_t { kStreamFit = 1, kStreamLoglik, kStreamChain, kStreamBootstrap, kStreamMean, kStreamRows };

struct LatentImputation {
  LatentStatus status = LatentStatus::kConverged;
  std::vector<std::vector<double>> values;  // over columns: the missing cells in the user's order of rows
  VectorXd mean;                            // the parameters it was drawn from, latent units
  MatrixXd covariance;
  std::vector<std::vector<double>> trace;  // sweep, log determinant, mean (D), variances (D)
};

// Where the missing cells of each column go: cell[c][i] is the place of row i (in the data's order) in column c's
// values.
class MissingCells {
 public:
  explicit MissingCells(const LatentData& data) : counts_(data.columns().size(), 0), cell_(data.columns().size()) {
    const size_t n = data.n();
    std::vector<size_t> position(n), pattern_of(n);
    for (size_t i = 0; i < n; ++i) position[data.row(i)] = i;
    std::vector<std::vector<bool>> missing;
    for (size_t p = 0; p < data.patterns().size(); ++p) {
      for (size_t i = data.patterns()[p].begin; i < data.patterns()[p].end; ++i) pattern_of[i] = p;
      missing.emplace_back(counts_.size(), false);
      for (size_t c : data.patterns()[p].missing_columns) missing[p][c] = true;
    }
    for (size_t c = 0; c < counts_.size(); ++c) {
      cell_[c].assign(n, 0);
      for (size_t user = 0; user < n; ++user)
        if (missing[pattern_of[position[user]]][c]) cell_[c][position[user]] = counts_[c]++;
    }
  }
  size_t count(size_t c) const { return counts_[c]; }
  size_t cell(size_t c, size_t i) const { return cell_[c][i]; }

 private:
  std::vector<size_t> counts_;
  std::vector<std::vector<size_t>> cell_;
};

// Averages over Gibbs draws of what is known of a missing cell given the rest of its row: the conditional mean of a
// continuous cell (inside its bounds), the probabilities of the levels of a discrete one. Each draw contributes its
// conditional expectation where that is a univariate integral.
class LatentSummary {
 public:
  LatentSummary(const LatentData& data, const VectorXd& lower, const VectorXd& upper)
      : data_(data), lower_(lower), upper_(upper), cells_(data), sums_(data.columns().size()) {
    for (size_t c = 0; c < sums_.size(); ++c) sums_[c].assign(cells_.count(c) * slots(c), 0.0);
  }

  // Slots of column c: one for each level in use; continuous 1 (mean); censored 4 (below, inside, above, mean weighted
  // by inside).
  size_t slots(size_t c) const {
    const LatentColumn& column = data_.columns()[c];
    return column.discrete() ? column.used.size() : column.kind == LatentKind::kCensored ? 4 : 1;
  }

  // After prepare() and draw_limited() for row i: adds one draw. `covariance` is that of the pattern's missing block.
  void add(LatentSweep& sweep, const LatentParameters& p, const std::vector<double>& covariance, size_t i, double* z,
           CounterRng& rng) {
    const LatentPattern& pattern = sweep.pattern();
    sweep.fill_missing(z, rng, FillMissing::kMean);
    bool nominal = false;
    size_t at = 0;
    for (size_t c : pattern.missing_columns) {
      const LatentColumn& column = data_.columns()[c];
      double* s = &sums_[c][cells_.cell(c, i) * slots(c)];
      if (column.kind == LatentKind::kNominal) {
        nominal = nominal || column.dims > 0;
      } else if (column.dims > 0) {
        add_single(column, p.thresholds[c], z[column.first], std::sqrt(covariance[at * pattern.missing.size() + at]),
                   s);
      }
      at += column.dims;
    }
    if (!nominal) return;
    for (int draw = 0; draw < kUtilityDraws; ++draw) {
      sweep.redraw_missing(z, rng);
      for (size_t c : pattern.missing_columns) {
        const LatentColumn& column = data_.columns()[c];
        if (column.kind == LatentKind::kNominal && column.dims > 0)
          sums_[c][cells_.cell(c, i) * slots(c) + static_cast<size_t>(decode_level(column, p.thresholds[c], z))] +=
              1.0 / kUtilityDraws;
      }
    }
  }

  // The best single value of the missing cell of row i in column c: the most probable level, the mean, the likelier
  // side.
  double value(size_t c, size_t i, double n_draws) const {
    const LatentColumn& column = data_.columns()[c];
    const double* s = &sums_[c][cells_.cell(c, i) * slots(c)];
    if (column.discrete()) {
      if (column.used.empty()) return std::numeric_limits<double>::quiet_NaN();
      return column.used[static_cast<size_t>(std::max_element(s, s + column.used.size()) - s)];
    }
    if (column.kind == LatentKind::kCensored) {
      if (s[0] > s[1] && s[0] >= s[2]) return -kInfinity;
      if (s[2] > s[1]) return kInfinity;
      return column.center + column.scale * s[3] / s[1];
    }
    return column.center + column.scale * s[0] / n_draws;
  }

  double probability(size_t c, size_t i, size_t level, double n_draws) const {
    if (data_.columns()[c].dims == 0) return 1.0;
    return sums_[c][cells_.cell(c, i) * slots(c) + level] / n_draws;
  }

  const MissingCells& cells() const { return cells_; }

 private:
  static constexpr int kUtilityDraws = 4;

  void add_single(const LatentColumn& column, const std::vector<double>& thresholds, double mean, double sd,
                  double* s) const {
    if (column.kind == LatentKind::kOrdinal) {
      double below = 0.0;
      for (size_t l = 0; l < column.used.size(); ++l) {
        const double next = l + 1 < column.used.size() ? normal_cdf((thresholds[l + 1] - mean) / sd) : 1.0;
        s[l] += next - below;
        below = next;
      }
      return;
    }
    const double lower = lower_(static_cast<Index>(column.first)), upper = upper_(static_cast<Index>(column.first));
    if (column.kind == LatentKind::kContinuous) {
      s[0] += mean;
      if (lower > -kInfinity || upper < kInfinity)
        s[0] += sd * truncated_normal_moments((lower - mean) / sd, (upper - mean) / sd).mean;
      return;
    }
    const double a = (column.mass_lower - mean) / sd, b = (column.mass_upper - mean) / sd;
    const double below = normal_cdf(a), above = normal_cdf(-b), inside = std::max(0.0, 1.0 - below - above);
    s[0] += below;
    s[1] += inside;
    s[2] += above;
    if (inside > 0.0) s[3] += inside * (mean + sd * truncated_normal_moments(a, b).mean);
  }

  const LatentData& data_;
  VectorXd lower_, upper_;
  MissingCells cells_;
  std::vector<std::vector<double>> sums_;
};

enum class LatentMethod { kPosterior, kBootstrap, kMean };

struct LatentImputeControl {
  LatentMethod method = LatentMethod::kPosterior;
  int n_sweeps = 50;    // of data augmentation
  int n_settle = 10;    // sweeps at fixed parameters that bring the latent values from their start to the model's
  int n_average = 100;  // kMean: draws that are averaged
  std::uint64_t key = 0;
};

class LatentImputer {
 public:
  // `information`: over columns, of the free thresholds (LatentFit::threshold_information). `lower`, `upper`: D, latent
  // units.
  LatentImputer(const LatentData& data, const LatentParameters& mode, const std::vector<MatrixXd>& information,
                const LatentPrior& prior, const VectorXd& lower, const VectorXd& upper,
                const LatentImputeControl& control)
      : data_(data),
        mode_(mode),
        information_(information),
        prior_(prior),
        lower_(lower),
        upper_(upper),
        control_(control),
        cells_(data) {
    for (double w : data.weights()) total_ += w;
    bounded_ = (lower_.array() > -kInfinity).any() || (upper_.array() < kInfinity).any();
  }

  std::vector<LatentImputation> run(size_t m, size_t first, int threads, Interrupt& interrupt, Progress& progress,
                                    std::atomic<bool>& stop) const {
    std::vector<LatentImputation> out(m);
    progress.total = m;
    parallel_tasks(m, threads, [&](size_t i) {
      if (!stop.load()) out[i] = impute(first + i, interrupt, progress, stop);
      progress.done.fetch_add(1);
    });
    return out;
  }

 private:
  LatentImputation impute(size_t number, Interrupt& interrupt, Progress& progress, std::atomic<bool>& stop) const {
    if (data_.d() == 0) return conditional_mean(number, interrupt, stop);  // nothing is random
    switch (control_.method) {
      case LatentMethod::kPosterior:
        return posterior(number, interrupt, progress, stop);
      case LatentMethod::kBootstrap:
        return bootstrap(number, interrupt, stop);
      case LatentMethod::kMean:
        break;
    }
    return conditional_mean(number, interrupt, stop);
  }

  static bool stopped(Interrupt& interrupt, std::atomic<bool>& stop) {
    if (interrupt.pending()) stop.store(true);
    return stop.load();
  }

  // One sweep over all rows. `moments`, when given, receives the completed rows.
  bool sweep_rows(LatentSweep& sweep, const LatentParameters& p, MatrixXd& z, CounterRng& rng,
                  LatentMoments* moments) const {
    if (moments) moments->clear();
    for (const LatentPattern& pattern : data_.patterns()) {
      // Rows that are all exact have nothing to draw.
      const bool idle = pattern.limited_columns.empty() && pattern.missing.empty();
      if (idle && !moments) continue;
      if (!idle && !sweep.prepare(p, pattern)) return false;
      const auto all = [](size_t) { return true; };
      in_groups<LatentSweep::kLanes>(pattern.begin, pattern.end, all, [&](const size_t* rows, size_t count) {
        if (!idle) sweep.draw_limited(rows, count, z.data(), rng);
        for (size_t r = 0; r < count; ++r) {
          double* row = z.data() + rows[r] * data_.d();
          if (!idle) sweep.fill_missing(row, rng, FillMissing::kDraw);
          if (moments && data_.weights()[rows[r]] > 0.0) moments->add_row(row, data_.weights()[rows[r]]);
        }
      });
    }
    if (moments) moments->flush();
    return true;
  }

  // Draws (mean, covariance) given complete latent data, then brings the free scales back to 1, those of z as well.
  bool draw_parameters(const LatentMoments& moments, LatentParameters& p, MatrixXd& z, CounterRng& rng) const {
    const Index d = static_cast<Index>(data_.d());
    // The free blocks go to their working scale, alpha z; here the prior's scatter is divided by alpha^2 instead, which
    // is the same because the scale of what comes out is not kept.
    MatrixXd scatter = prior_.scale;
    for (const LatentColumn& c : data_.columns()) {
      if (!free_scale(c)) continue;
      const Index first = static_cast<Index>(c.first), dims = static_cast<Index>(c.dims);
      const double trace = block_trace(c, prior_, p.precision);
      if (trace > 0.0)
        scatter.block(first, first, dims, dims) *=
            draw_chi_square(rng, prior_.df * static_cast<double>(c.dims)) / trace;
    }
    const Eigen::LLT<MatrixXd> llt(moments.scatter(total_) + scatter);
    if (llt.info() != Eigen::Success) return false;
    MatrixXd a(d, d);
    draw_bartlett(rng, std::max(total_ - 1.0 + prior_.df, static_cast<double>(d)), a);
    // S = L L' scatter, precision L^-T A A' L^-1: covariance = root' root with root = A^-1 L'.
    MatrixXd root = llt.matrixU();
    a.triangularView<Eigen::Lower>().solveInPlace(root);
    MatrixXd covariance = root.transpose() * root;
    VectorXd noise(d);
    draw_normals(rng, noise.data(), data_.d());
    VectorXd mean = moments.sum / total_ + root.transpose() * noise / std::sqrt(total_);
    const VectorXd f = unit_factors(data_.columns(), covariance);
    covariance = f.asDiagonal() * covariance * f.asDiagonal();
    mean = f.cwiseProduct(mean);
    if (!p.set(mean, covariance)) return false;
    rescale_latents(f, z);
    return true;
  }

  // The thresholds of ordinal columns with 4 levels or more, once from their normal approximation: where the chain
  // starts.
  void start_thresholds(LatentParameters& p, CounterRng& rng) const {
    for (size_t c = 0; c < p.thresholds.size(); ++c)
      for (int attempt = 0; attempt < 50; ++attempt) {
        std::vector<double> proposal = p.thresholds[c];
        if (!propose_thresholds(c, 1.0, proposal, rng)) break;
        if (!is_rising(proposal)) continue;
        p.thresholds[c] = proposal;
        break;
      }
  }

  bool propose_thresholds(size_t c, double step, std::vector<double>& t, CounterRng& rng) const {
    if (!data_.columns()[c].free_thresholds()) return false;
    MatrixXd h = information_[c];
    const Index k = h.rows();
    if (k != static_cast<Index>(t.size()) - 4) return false;
    h.diagonal().array() += 1e-6 * (1.0 + h.diagonal().maxCoeff());
    const Eigen::LLT<MatrixXd> llt(h);
    VectorXd e(k);
    draw_normals(rng, e.data(), static_cast<size_t>(k));
    if (llt.info() != Eigen::Success) return false;
    llt.matrixU().solveInPlace(e);
    for (Index i = 0; i < k; ++i) t[static_cast<size_t>(i) + 2] += step * e(i);
    return true;
  }

  // A Metropolis step on the thresholds with the coordinate itself integrated out (Cowles 1996, Stat. Comput. 6,
  // 101-111); when it is accepted the coordinate is drawn anew, so that the pair moves together.
  void move_thresholds(size_t c, LatentParameters& p, MatrixXd& z, std::vector<double>& mean, CounterRng& rng) const {
    const LatentColumn& column = data_.columns()[c];
    std::vector<double> proposal = p.thresholds[c];
    const double k = static_cast<double>(proposal.size()) - 4.0;
    if (!propose_thresholds(c, 2.4 / std::sqrt(k), proposal, rng)) return;
    const double log_u = -rng.exponential();
    if (!is_rising(proposal)) return;
    const size_t d = data_.d(), j = column.first;
    const double* q = p.precision.data() + j * d;
    const double sd = 1.0 / std::sqrt(q[j]);
    const std::vector<double>& old = p.thresholds[c];
    double log_ratio = 0.0;
    for (size_t i = 0; i < data_.n(); ++i) {
      const int level = data_.level(i, c);
      if (level == kLatentMissing) continue;
      const double* row = z.data() + i * d;
      double s = 0.0;
      for (size_t l = 0; l < d; ++l) s += q[l] * (row[l] - p.mean(static_cast<Index>(l)));
      const double m = mean[i] = row[j] - s / q[j];
      const size_t l = static_cast<size_t>(level);
      // The end intervals have fixed limits.
      if (l == 0 || l + 2 == proposal.size()) continue;
      const double a = (proposal[l] - m) / sd, b = (proposal[l + 1] - m) / sd;
      const double old_a = (old[l] - m) / sd, old_b = (old[l + 1] - m) / sd;
      const double mass = kNormalGrid.at(b).cdf - kNormalGrid.at(a).cdf,
                   old_mass = kNormalGrid.at(old_b).cdf - kNormalGrid.at(old_a).cdf;
      log_ratio += data_.weights()[i] * (mass > kGridMass && old_mass > kGridMass
                                             ? std::log(mass / old_mass)
                                             : log_normal_interval(a, b) - log_normal_interval(old_a, old_b));
    }
    if (!(log_u < log_ratio)) return;
    p.thresholds[c] = proposal;
    for (size_t i = 0; i < data_.n(); ++i) {
      const int level = data_.level(i, c);
      if (level == kLatentMissing) continue;
      z(static_cast<Index>(j), static_cast<Index>(i)) = draw_truncated_normal(
          rng, mean[i], sd, proposal[static_cast<size_t>(level)], proposal[static_cast<size_t>(level) + 1]);
    }
  }

  LatentImputation posterior(size_t number, Interrupt& interrupt, Progress& progress, std::atomic<bool>& stop) const {
    LatentImputation out;
    CounterRng rng(control_.key, latent_stream(kStreamChain, number));
    LatentParameters p = mode_;
    LatentSweep sweep(data_);
    LatentMoments moments(data_.d());
    MatrixXd z;
    std::vector<double> scratch(data_.n());
    start_thresholds(p, rng);
    start_latents(data_, p, z);
    for (int s = 0; s < control_.n_settle && out.status == LatentStatus::kConverged; ++s) {
      if (stopped(interrupt, stop)) return out;
      if (!sweep_rows(sweep, p, z, rng, s + 1 == control_.n_settle ? &moments : nullptr))
        out.status = LatentStatus::kSingular;
    }
    const int thin = std::max(1, control_.n_sweeps / 50);
    for (int s = 1; s <= control_.n_sweeps && out.status == LatentStatus::kConverged; ++s) {
      if (stopped(interrupt, stop)) return out;
      // A step that fails leaves the last parameters in place, and the chain ends there.
      if (!draw_parameters(moments, p, z, rng)) {
        out.status = LatentStatus::kSingular;
        break;
      }
      for (size_t c = 0; c < data_.columns().size(); ++c)
        if (data_.columns()[c].free_thresholds()) move_thresholds(c, p, z, scratch, rng);
      if (!sweep_rows(sweep, p, z, rng, &moments)) out.status = LatentStatus::kSingular;
      if (s % thin == 0) out.trace.push_back(trace_point(s, p));
      progress.iterations.fetch_add(1);
    }
    finish(out, sweep, p, z, rng);
    return out;
  }

  std::vector<double> trace_point(int sweep, const LatentParameters& p) const {
    const Eigen::LLT<MatrixXd> llt(p.covariance);
    std::vector<double> point = {static_cast<double>(sweep), 2.0 * llt.matrixLLT().diagonal().array().log().sum()};
    for (Index j = 0; j < p.mean.size(); ++j) point.push_back(p.mean(j));
    for (Index j = 0; j < p.mean.size(); ++j) point.push_back(p.covariance(j, j));
    return point;
  }

  LatentImputation bootstrap(size_t number, Interrupt& interrupt, std::atomic<bool>& stop) const {
    LatentImputation out;
    CounterRng rng(control_.key, latent_stream(kStreamBootstrap, number));
    std::vector<double> weights(data_.n(), 0.0);
    for (size_t i = 0; i < weights.size(); ++i) weights[rng.below(weights.size())] += 1.0;
    for (size_t i = 0; i < weights.size(); ++i) weights[i] *= data_.weights()[i];
    LatentFitControl control;
    control.burn_in = control.max_burn_in = 2 * control.block;
    control.max_iter = control.burn_in + control.block;
    control.rows_per_iteration = 300;
    control.max_batches = 1;
    control.rows_first = std::numeric_limits<int>::max();
    const std::uint64_t key = rng.bits64();
    LatentFit fit(data_, weights, prior_, mode_, control, key, 0);
    Progress inner;
    fit.run(1, interrupt, inner, stop);
    if (stop.load()) return out;
    const LatentParameters& p = fit.parameters();
    if (fit.status() == LatentStatus::kSingular) out.status = LatentStatus::kSingular;
    LatentSweep sweep(data_);
    MatrixXd z;
    start_latents(data_, p, z);
    for (int s = 0; s < 2 * control_.n_settle; ++s) {
      if (stopped(interrupt, stop)) return out;
      if (!sweep_rows(sweep, p, z, rng, nullptr)) out.status = LatentStatus::kSingular;
    }
    out.trace.push_back(trace_point(fit.iterations(), p));
    finish(out, sweep, p, z, rng);
    return out;
  }

  LatentImputation conditional_mean(size_t number, Interrupt& interrupt, std::atomic<bool>& stop) const {
    LatentImputation out;
    CounterRng rng(control_.key, latent_stream(kStreamMean, number));
    LatentSweep sweep(data_);
    LatentSummary summary(data_, lower_, upper_);
    MatrixXd z;
    start_latents(data_, mode_, z);
    for (const LatentPattern& pattern : data_.patterns()) {
      if (stopped(interrupt, stop)) return out;
      if (pattern.missing_columns.empty()) continue;
      if (!sweep.prepare(mode_, pattern)) {
        out.status = LatentStatus::kSingular;
        continue;
      }
      const std::vector<double>& covariance = sweep.missing_covariance();
      for (size_t i = pattern.begin; i < pattern.end; ++i) {
        double* row = z.data() + i * data_.d();
        for (int s = 0; s < control_.n_settle; ++s) sweep.draw_limited(i, z.data(), rng);
        for (int s = 0; s < control_.n_average; ++s) {
          sweep.draw_limited(i, z.data(), rng);
          summary.add(sweep, mode_, covariance, i, row, rng);
        }
      }
    }
    prepare_values(out);
    for (const LatentPattern& pattern : data_.patterns())
      for (size_t c : pattern.missing_columns)
        for (size_t i = pattern.begin; i < pattern.end; ++i)
          out.values[c][cells_.cell(c, i)] = summary.value(c, i, control_.n_average);
    out.mean = mode_.mean;
    out.covariance = mode_.covariance;
    return out;
  }

  void prepare_values(LatentImputation& out) const {
    for (size_t c = 0; c < data_.columns().size(); ++c)
      out.values.emplace_back(cells_.count(c), std::numeric_limits<double>::quiet_NaN());
  }

  // The last draw of the missing cells, at the last parameters and inside the bounds.
  void finish(LatentImputation& out, LatentSweep& sweep, const LatentParameters& p, MatrixXd& z,
              CounterRng& rng) const {
    prepare_values(out);
    for (const LatentPattern& pattern : data_.patterns()) {
      if (pattern.missing_columns.empty()) continue;
      if (!sweep.prepare(p, pattern)) {
        out.status = LatentStatus::kSingular;  // the values of the last sweep stand
      }
      for (size_t i = pattern.begin; i < pattern.end; ++i) {
        double* row = z.data() + i * data_.d();
        if (out.status == LatentStatus::kConverged && bounded_) sweep.fill_missing_within(row, rng, lower_, upper_);
        for (size_t c : pattern.missing_columns)
          out.values[c][cells_.cell(c, i)] = decode_value(data_.columns()[c], p.thresholds[c], row);
      }
    }
    out.mean = p.mean;
    out.covariance = p.covariance;
  }

  const LatentData& data_;
  LatentParameters mode_;
  std::vector<MatrixXd> information_;
  LatentPrior prior_;
  VectorXd lower_, upper_;
  LatentImputeControl control_;
  MissingCells cells_;
  double total_ = 0.0;
  bool bounded_ = false;
};

}  // namespace emkit
