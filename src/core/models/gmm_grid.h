// A grid of cells (covariance structure x number of components x number of factors) from shared starts.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "gmm_cell_fit.h"
#include "starts.h"

namespace emkit {

struct GmmGridCell {
  const CovarianceEntry* entry = nullptr;
  size_t n_components = 1;
  size_t n_factors = 0;   // of structures that have factors
};

// Fits every cell. Structures are fitted after those they contain (and after themselves with fewer factors), whose
// solutions with as many components join the shared starts: a richer structure then never ends below a simpler one, and
// poor starts are mended by good neighbours.
// Small problems run cell by cell in parallel, large ones use all threads on the rows of one cell; every cell's result
// is the same either way.
class GmmGrid {
 public:
  GmmGrid(GmmData& search, GmmData& full, const GmmOptions& options, const GmmControl& control, int threads,
          Interrupt& interrupt, Progress& progress)
      : search_(search),
        full_(full),
        options_(options),
        control_(control),
        threads_(threads),
        interrupt_(interrupt),
        progress_(progress) {}

  // starts[n_components]: partitions of the random kinds are drawn here.
  std::vector<GmmFit> fit(const std::vector<GmmGridCell>& cells, std::map<size_t, std::vector<GmmStart>>& starts) {
    for (const GmmGridCell& cell : cells) {
      search_.scaled(cell.entry->column_scaling);
      full_.scaled(cell.entry->column_scaling);
    }
    draw_partitions(starts);
    std::vector<GmmFit> fits(cells.size());
    const bool by_cell = rows_work(cells) < kParallelRowsWork;
    for (const std::vector<size_t>& level : levels(cells)) {
      const auto one = [&](size_t i) {
        const GmmGridCell& cell = cells[level[i]];
        std::vector<GmmStart> own = starts.at(cell.n_components);
        if (own.size() > 1 || cell.n_components > 1) add_contained(cells, fits, cell, own);
        fit_cell(cell, own, by_cell ? 1 : threads_, fits[level[i]]);
      };
      if (by_cell)
        parallel_tasks(level.size(), threads_, one);
      else
        for (size_t i = 0; i < level.size(); ++i) one(i);
    }
    return fits;
  }

  bool stopped() const { return stop_.load(); }

 private:
  void fit_cell(const GmmGridCell& grid_cell, const std::vector<GmmStart>& starts, int threads, GmmFit& out) {
    if (stop_.load()) {
      out.run.status = Status::kInterrupted;
      return;
    }
    const bool column = grid_cell.entry->column_scaling;
    const GmmCell cell(*grid_cell.entry, grid_cell.n_components, grid_cell.n_factors, options_);
    GmmCellFit fit(cell, search_.made(column), full_.made(column), control_, stop_, interrupt_, progress_, threads);
    out = fit.fit(starts);
    progress_.done.fetch_add(1);
  }

  void draw_partitions(std::map<size_t, std::vector<GmmStart>>& starts) {
    using Kind = GmmStart::Kind;
    bool any = false, whitened = false;
    std::vector<std::pair<size_t, GmmStart*>> wanted;
    for (auto& by_size : starts)
      for (GmmStart& s : by_size.second)
        if (s.kind == Kind::kKmeans || s.kind == Kind::kKmeansWhitened || s.kind == Kind::kRandom) {
          any = true;
          whitened = whitened || s.kind == Kind::kKmeansWhitened;
          wanted.push_back({by_size.first, &s});
        }
    if (!any) return;
    const RawData& raw = search_.raw();
    const bool complete = !search_.made_any().observations().has_missing();
    const PointSet plain = make_points(raw, search_.moments(), false);
    const PointSet white = whitened && complete ? make_points(raw, search_.moments(), true) : plain;
    std::vector<int> labels;
    if (raw.labels) labels.assign(raw.labels, raw.labels + raw.n);
    parallel_tasks(wanted.size(), threads_, [&](size_t i) {
      if (stop_.load()) return;
      GmmStart& s = *wanted[i].second;
      CounterRng rng(control_.key, s.stream);
      const bool spread = s.kind != Kind::kRandom;
      s.partition = kmeans_partition(s.kind == Kind::kKmeansWhitened ? white : plain, wanted[i].first, spread,
                                     spread ? kLloydSteps : 0, labels, rng);
      for (size_t r = 0; r < options_.noise_rows.size(); ++r)
        if (options_.noise_rows[r]) s.partition[r] = static_cast<int>(wanted[i].first);
      s.kind = Kind::kPartition;
    });
  }

  // Cells in the order of containment: a cell's level is above that of every structure it contains, and of its own with
  // fewer factors.
  std::vector<std::vector<size_t>> levels(const std::vector<GmmGridCell>& cells) const {
    std::map<std::string, size_t> depth;
    for (const CovarianceEntry& entry : covariance_registry()) {
      size_t level = 0;
      for (const char* inner : entry.contains) level = std::max(level, depth[inner] + 1);
      depth[entry.code] = level;
    }
    std::map<size_t, std::vector<size_t>> by_level;
    for (size_t i = 0; i < cells.size(); ++i) by_level[depth[cells[i].entry->code] + cells[i].n_factors].push_back(i);
    std::vector<std::vector<size_t>> out;
    for (auto& level : by_level) out.push_back(level.second);
    return out;
  }

  static void add_contained(const std::vector<GmmGridCell>& cells, const std::vector<GmmFit>& fits,
                            const GmmGridCell& cell, std::vector<GmmStart>& starts) {
    for (size_t i = 0; i < cells.size(); ++i) {
      if (cells[i].n_components != cell.n_components || !fits[i].fitted) continue;
      const bool fewer = cells[i].entry == cell.entry && cells[i].n_factors + 1 == cell.n_factors && cells[i].n_factors > 0;
      bool inner = false;
      for (const char* code : cell.entry->contains) inner = inner || cells[i].entry->code == std::string(code);
      if (!fewer && !(inner && cells[i].n_factors == cell.n_factors)) continue;
      GmmStart s;
      s.kind = GmmStart::Kind::kParameters;
      s.method = fewer ? "from " + std::to_string(cells[i].n_factors) + " factors"
                       : std::string("from ") + cells[i].entry->code;
      s.parameters = fits[i].parameters;
      if (fewer)
        for (MatrixXd& loadings : s.parameters.loadings) {
          loadings.conservativeResize(Eigen::NoChange, loadings.cols() + 1);
          loadings.rightCols(1).setZero();
        }
      starts.push_back(s);
    }
  }

  double rows_work(const std::vector<GmmGridCell>& cells) const {
    double largest = 0.0;
    const double d = static_cast<double>(full_.raw().d);
    for (const GmmGridCell& cell : cells) largest = std::max(largest, static_cast<double>(cell.n_components));
    return static_cast<double>(full_.raw().n) * largest * (d * d + 10.0);
  }

  static constexpr double kParallelRowsWork = 4e6;  // multiplications in one sweep: about a millisecond
  static constexpr int kLloydSteps = 8;

  GmmData& search_;
  GmmData& full_;
  const GmmOptions& options_;
  const GmmControl& control_;
  int threads_;
  Interrupt& interrupt_;
  Progress& progress_;
  std::atomic<bool> stop_{false};
};

}  // namespace emkit
