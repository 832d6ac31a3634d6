// The registry of families, and doors into one response for the tests and for what R asks of it.
#include "glue_response.h"

#include "core/math/aligned.h"

using namespace emkit;

namespace {

// The rows 0..n - 1 in tiles of `lanes` lanes.
std::vector<RowTile> tiles_of(size_t n, size_t lanes) {
  std::vector<RowTile> tiles;
  if (lanes == 1) {
    for (size_t from = 0; from < n; from += kTileRows)
      tiles.push_back(neighbouring_rows(from, std::min(kTileRows, n - from)));
    return tiles;
  }
  const size_t unit = kRowPad / lanes, strip = ((n + lanes - 1) / lanes + unit - 1) / unit * unit;
  for (size_t step = 0; step < strip; step += kTileRows / lanes) {
    RowTile tile;
    tile.first = static_cast<std::ptrdiff_t>(step);
    tile.lane_stride = static_cast<std::ptrdiff_t>(strip);
    tile.lanes = lanes;
    tile.steps = std::min(kTileRows / lanes, strip - step);
    tile.end = static_cast<std::ptrdiff_t>(n);
    tiles.push_back(tile);
  }
  return tiles;
}

std::unique_ptr<Response> response_at(const Rcpp::List& spec, const Eigen::MatrixXd& parameters) {
  std::unique_ptr<Response> response = as_response(spec, static_cast<size_t>(parameters.cols()));
  if (!response->set_parameters(parameters)) Rcpp::stop("the parameters are not valid");
  response->prepare();
  return response;
}

size_t n_rows(const Rcpp::List& spec) { return static_cast<size_t>(Rf_nrows(spec["y"])); }

// The statistics of all rows with these posteriors (n x K).
std::vector<double> statistics_of(const Response& response, const Eigen::MatrixXd& posterior, size_t lanes) {
  const size_t n_components = response.n_components();
  std::vector<double> statistics(response.n_statistics(), 0.0);
  const std::unique_ptr<Response::Workspace> workspace = response.make_workspace();
  AlignedBuffer z(n_components * kTileRows);
  for (const RowTile& tile : tiles_of(static_cast<size_t>(posterior.rows()), lanes)) {
    for (size_t k = 0; k < n_components; ++k)
      tile.load(posterior.col(static_cast<Eigen::Index>(k)).data(), 0.0, z.data() + k * kTileRows);
    response.accumulate(tile, z.data(), kTileRows, *workspace, statistics.data());
  }
  return statistics;
}

Rcpp::NumericVector as_numbers(const std::vector<double>& v) { return Rcpp::NumericVector(v.begin(), v.end()); }

const char* kind_name(Degeneracy::Kind kind) {
  switch (kind) {
    case Degeneracy::Kind::kNone: return "none";
    case Degeneracy::Kind::kVanished: return "vanished";
    case Degeneracy::Kind::kSingular: return "singular";
    case Degeneracy::Kind::kNotFinite: return "not_finite";
  }
  return "";
}

}  // namespace

// [[Rcpp::export(rng = false)]]
Rcpp::DataFrame response_registry_() {
  Rcpp::CharacterVector name, description;
  for (const ResponseEntry& entry : response_registry()) {
    name.push_back(entry.name);
    description.push_back(entry.description);
  }
  return Rcpp::DataFrame::create(Rcpp::Named("name") = name, Rcpp::Named("description") = description,
                                 Rcpp::Named("stringsAsFactors") = false);
}

// The log densities of all rows, n x K, with their constants.
// [[Rcpp::export(rng = false)]]
Rcpp::NumericMatrix response_log_density_(Rcpp::List spec, Eigen::MatrixXd parameters, int lanes = 1) {
  const std::unique_ptr<Response> response = response_at(spec, parameters);
  const size_t n = n_rows(spec), n_components = response->n_components();
  Rcpp::NumericMatrix out(static_cast<int>(n), static_cast<int>(n_components));
  const std::unique_ptr<Response::Workspace> workspace = response->make_workspace();
  AlignedBuffer set(n_components * kTileRows), added(n_components * kTileRows);
  for (const RowTile& tile : tiles_of(n, static_cast<size_t>(lanes))) {
    response->log_density(tile, false, *workspace, set.data(), kTileRows);
    std::fill(added.data(), added.data() + added.size(), 1.0);
    response->log_density(tile, true, *workspace, added.data(), kTileRows);
    for (size_t i = 0; i < tile.size(); ++i)
      for (size_t k = 0; k < n_components; ++k) {
        const double l = set[k * kTileRows + i], other = added[k * kTileRows + i];
        if (!(other == l + 1.0 || std::abs(other - l - 1.0) <= 1e-12 * std::abs(l)))
          Rcpp::stop("adding a log density and setting it disagree");
        if (tile.row(i) >= 0)
          out(static_cast<int>(tile.row(i)), static_cast<int>(k)) =
              l + response->row_constant(static_cast<size_t>(tile.row(i)));
        else if (l != 0.0)
          Rcpp::stop("a position without a row has a log density");
      }
  }
  return out;
}

// The sums that a sweep with these posteriors (n x K) makes.
// [[Rcpp::export(rng = false)]]
Rcpp::NumericVector response_statistics_(Rcpp::List spec, Eigen::MatrixXd parameters, Eigen::MatrixXd posterior,
                                         int lanes = 1) {
  const std::unique_ptr<Response> response = response_at(spec, parameters);
  return as_numbers(statistics_of(*response, posterior, static_cast<size_t>(lanes)));
}

// The parameters after one M-step from `parameters` with these posteriors (n x K).
// [[Rcpp::export(rng = false)]]
Rcpp::List response_m_step_(Rcpp::List spec, Eigen::MatrixXd parameters, Eigen::MatrixXd posterior, int lanes = 1) {
  const std::unique_ptr<Response> response = response_at(spec, parameters);
  const bool done = response->m_step(statistics_of(*response, posterior, static_cast<size_t>(lanes)).data());
  const Degeneracy degeneracy = done ? Degeneracy() : response->degeneracy();
  return Rcpp::List::create(Rcpp::Named("parameters") = response->parameters(), Rcpp::Named("done") = done,
                            Rcpp::Named("exact") = response->m_step_is_exact(),
                            Rcpp::Named("degeneracy") = kind_name(degeneracy.kind),
                            Rcpp::Named("component") = static_cast<double>(degeneracy.component + 1));
}

// The coordinates, and the gradient of the posterior-weighted log density in them.
// [[Rcpp::export(rng = false)]]
Rcpp::List response_score_(Rcpp::List spec, Eigen::MatrixXd parameters, Eigen::MatrixXd posterior, int lanes = 1) {
  const std::unique_ptr<Response> response = response_at(spec, parameters);
  std::vector<double> point(response->n_coordinates()), gradient(response->n_coordinates());
  const bool inside = response->coordinates(point.data());
  response->score(statistics_of(*response, posterior, static_cast<size_t>(lanes)).data(), gradient.data());
  return Rcpp::List::create(Rcpp::Named("coordinates") = as_numbers(point), Rcpp::Named("score") = as_numbers(gradient),
                            Rcpp::Named("inside") = inside);
}

// What the response makes of parameters: themselves, their coordinates and packed form, and the parameters that come
// back from these.
// [[Rcpp::export(rng = false)]]
Rcpp::List response_coordinates_(Rcpp::List spec, Eigen::MatrixXd parameters) {
  const std::unique_ptr<Response> response = response_at(spec, parameters);
  const Eigen::MatrixXd own = response->parameters();
  std::vector<double> point(response->n_coordinates()), packed(response->n_packed());
  const bool inside = response->coordinates(point.data()), packs = response->pack(packed.data());
  if (packs) response->unpack(packed.data());
  const Eigen::MatrixXd from_packed = response->parameters();
  response->set_parameters(own);
  if (inside) response->set_coordinates(point.data());
  return Rcpp::List::create(Rcpp::Named("parameters") = own, Rcpp::Named("inside") = inside,
                            Rcpp::Named("packs") = packs,
                            Rcpp::Named("coordinates") = as_numbers(point), Rcpp::Named("packed") = as_numbers(packed),
                            Rcpp::Named("from_coordinates") = response->parameters(),
                            Rcpp::Named("from_packed") = from_packed);
}

// The parameters (m x K) at a point of the coordinates of the response that has `parameters`.
// [[Rcpp::export(rng = false)]]
Eigen::MatrixXd response_from_coordinates_(Rcpp::List spec, Eigen::MatrixXd parameters,
                                           std::vector<double> coordinates) {
  const std::unique_ptr<Response> response = response_at(spec, parameters);
  if (coordinates.size() != response->n_coordinates() || !response->set_coordinates(coordinates.data()))
    Rcpp::stop("the coordinates are not valid");
  return response->parameters();
}

// The parameters of every component at the overall distribution of the response.
// [[Rcpp::export(rng = false)]]
Eigen::MatrixXd response_overall_(Rcpp::List spec, int n_components) {
  const std::unique_ptr<Response> response = as_response(spec, static_cast<size_t>(n_components));
  response->set_overall();
  return response->parameters();
}
