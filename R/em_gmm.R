#' Gaussian mixtures
#'
#' Fits mixtures of Gaussian distributions by maximum likelihood with the EM algorithm, over one or many numbers of
#' components and covariance structures, and returns the best by BIC. Missing values are part of the model: the
#' likelihood is that of the observed cells, exactly, for every structure.
#'
#' @section Covariance structures:
#' The covariance matrix of component k is \eqn{\lambda_k D_k A_k D_k'}, with volume \eqn{\lambda_k}, shape \eqn{A_k} and
#' orientation \eqn{D_k} (Celeux and Govaert 1995). A code's three letters say whether volume, shape and orientation
#' are **E**qual over the components, **V**ary, or are the **I**dentity: the codes of mclust. With several variables:
#' EII, VII (spherical), EEI, VEI, EVI, VVI (diagonal), EEE, VEE, EVE, VVE, EEV, VEV, EVV, VVV (ellipsoidal). With
#' one variable: E, V (equal, varying variance); a code of several stands for its first letter. Aliases: "full" =
#' VVV, "tied" = EEE, "diagonal" = VVI, "spherical" = VII. Every M-step maximises exactly; those of EVE and VVE find the
#' common orientation by plane rotations (Flury and Gautschi 1986).
#'
#' @section Factor analysers:
#' With many variables a covariance matrix has too many parameters. Mixtures of factor analysers give component k
#' \eqn{\Sigma_k = \Lambda_k \Lambda_k' + \Psi_k}: `n_factors` (q) columns of loadings \eqn{\Lambda_k} carry what the
#' variables share, the diagonal matrix of uniquenesses \eqn{\Psi_k} what each has for itself (Ghahramani and Hinton 1996).
#' The number of observations of a component may be smaller than the number of variables. A code's letters say
#' whether loadings, uniquenesses over the components, and uniquenesses over the variables are **C**onstrained to be
#' equal or **U**nconstrained (McNicholas and Murphy 2008); codes of four letters are for
#' \eqn{\Psi_k = \omega_k \Delta_k} with \eqn{|\Delta_k| = 1}, and say whether loadings, \eqn{\Delta_k} and
#' \eqn{\omega_k} are equal, the last letter that \eqn{\Delta_k} is not the identity (McNicholas and Murphy 2010).
#'
#' | loadings | uniquenesses | equal | varying |
#' |:--|:--|:--|:--|
#' | | one for all variables and components | CCC | UCC |
#' | | one for each variable | CCU | UCU |
#' | | one for each component | CUC | UUC |
#' | | volume varies, shape equal | CCUU | UCUU |
#' | | volume equal, shape varies | CUCU | UUCU |
#' | | one for each variable and component | CUU | UUU |
#'
#' "factor" is an alias for UUU, "PGMM" stands for all twelve; "all" does not include them. One component of UUU is the
#' factor analysis of [stats::factanal()], one of UUC probabilistic principal components. A uniqueness may go to zero
#' (a Heywood case): it stops at 1e-7 of the variance of the data, `fit$heywood` and a warning of class
#' `em_warning_heywood` name the variable and the component. A component of no more than q + 1 observations has no
#' maximum: it collapses, as below. Each M-step raises the expected log-likelihood by Newton steps on the log
#' uniquenesses with the best loadings given them (Joreskog 1967); where equal loadings have no closed form (CUC, CUU, CCUU,
#' CUCU), by scoring steps in loadings and uniquenesses together, or conditional maximisations for more than 400
#' parameters. The least uniqueness is part of the structure: what is equal stays equal where one of them stops.
#'
#' @section Missing values:
#' NA (and NaN) cells are taken as missing at random and integrated out, by pattern of missingness. Rows that observe
#' nothing stay in the fit with posterior probabilities equal to the proportions; they do not count in `nobs`.
#' `predict(fit, type = "imputed")` fills in conditional means.
#'
#' @section Convergence and starts:
#' See [em_control()]. Without `start`, several starts (Ward's hierarchical clustering, k-means++, random centres; on
#' standardised and on whitened data) are run for a few steps and the best of them to convergence. In a search over
#' structures, the solutions of simpler structures are starts of those that contain them, and those with fewer factors of
#' those with more. Factor analysers have more local maxima than other structures: models of small data also start from
#' around their best solution, with one variable at a time in place of a factor, and a single one from the solutions of
#' those that it contains and of VVI, EEE and VVV. `fit$starts` is the
#' table of starts, `plot(fit, "starts")` its picture. A start in which a component collapses (its variance in some
#' direction goes to zero: duplicated or collinear points) loses to those that do not; when all do, the error
#' of class `em_error_degenerate` names the component. A solution in which a component rests on fewer observations
#' than its own covariance parameters need (d + 1 for an orientation, q + 2 for q factors, 2 for a volume, a shape or
#' uniquenesses) is marked "spurious" in
#' `fit$selection` and is not chosen while there is another.
#'
#' @section Information criteria:
#' `BIC = -2 loglik + df log(nobs)` and `ICL = BIC - 2 sum_i w_i log max_k z_ik`: lower is better, as everywhere in R.
#' (mclust's `bic` has the opposite sign.)
#'
#' @param x,formula The data: a numeric vector, matrix, data frame (tibble, data.table) of numeric, integer or logical
#'   columns; or a one-sided formula such as `~ a + log(b)`.
#' @param data For a formula: the data frame of its variables.
#' @param subset For a formula: which rows of `data` to use, an expression in its columns.
#' @param n_components Whole numbers >= 1, default 1:9: the numbers of components to fit.
#' @param covariance Codes or aliases (see Covariance structures and Factor analysers), "all" (default) or "PGMM".
#' @param weights NULL (default), or a number >= 0 for each row (for a formula: an expression in the columns of `data`):
#'   observation weights. A row of weight 2 counts as two equal rows, in the likelihood and in `nobs`.
#' @param equal_proportions TRUE for equal mixing proportions (then they are not estimated), default FALSE.
#' @param noise Adds a component of uniform density over a box, for outliers. NULL (default): none. TRUE: over the box
#'   of the data. A number in (0, 1): likewise, and it is the proportion to start from. A logical vector: likewise,
#'   and rows that are TRUE start as noise. `list(volume = , proportion = )` or `list(sides = , proportion = )` set the
#'   volume of the box, or the lengths of its sides. It counts two in `df`.
#' @param prior NULL (default), TRUE for the default [em_gmm_prior()], or one made by it: maximum a posteriori
#'   estimation with a conjugate prior, which keeps components from collapsing.
#' @param known NULL, or for each row its component where it is known, and NA where not: a factor or character vector
#'   (its levels name the components, in this order), or whole numbers (0 is the noise). The likelihood of a known
#'   row is the joint one of row and component.
#' @param start NULL (default), or where to start: a partition (a component for each row), a matrix of posterior
#'   probabilities (n x K), `list(proportions = , means = , covariances = )` in the shapes below, or a fit. Needs a single
#'   `n_components` (left out, it is that of the start).
#' @param fixed NULL, or parameters to hold: a list with `means` (d x K, columns of NA for components that are free),
#'   `covariances` (d x d x K; slices of NA for those that are free, which structures VVV, VVI, VII and V can have) or
#'   `proportions` (K; NA where free). Needs a single `n_components`.
#' @param criterion "BIC" (default), "ICL" or "AIC": what the best of several models has least of.
#' @param control Made by [em_control()].
#' @param n_factors Whole numbers >= 1, for structures with factors (an error without any): the numbers of factors to fit.
#'   Default 1:3. The largest q that d variables determine has (d - q)^2 >= d + q; of several numbers those above it are
#'   left out, with a message.
#' @param ... Not used; an argument that is not one of the above is an error.
#'
#' @return A list of class `c("em_gmm", "em_fit")`:
#' - `parameters`: `proportions` (K, noise last), `means` (d x K), `covariances` (d x d x K), `noise` (`volume`, `sides` and
#'   `lower` corner of the box, or NULL). Components are ordered by decreasing proportion; as given where `known` or `fixed` names
#'   them.
#'   With factors also `loadings` (d x q x K; \eqn{\Lambda_k' \Psi_k^{-1} \Lambda_k} diagonal and decreasing, column sums
#'   positive; where loadings are equal, with the average of the \eqn{\Psi_k^{-1}} weighted by the proportions) and
#'   `uniquenesses` (d x K), in the units of the data; [summary()][summary.em_gmm] shows them.
#' - `covariance`, `n_components`: the model; with factors also `n_factors`, and `heywood`: NULL, or a data frame of
#'   `component` and `variable` where a uniqueness is zero.
#' - `loglik`, `log_prior`, `df`, `nobs` (sum of the weights of the rows that observe anything), `n_rows`.
#' - `status` ("converged", "max_iter", "non_monotone"), `message`, `converged`, `iterations`, `evaluations`,
#'   `convergence` (`rule`, `last_gain`, `rate`, `remaining_gain`).
#' - `posterior`: n x K probabilities (noise last), rows sum to 1; NULL for very large data, see [em_control()].
#' - `classification`: the most probable component of each row, 0 for noise.
#' - `selection`: data frame of every model fitted: `covariance`, `n_components`, (`n_factors` where any structure has
#'   factors, NA for those without,) `loglik`, `df`, `BIC`, `ICL`, `status`, `message`.
#' - `trace`: `iteration`, `loglik`, `log_prior`, `objective`, `step`; `starts`: `start`, `method`, `loglik`, `status`,
#'   `iterations`, `best`.
#' - `degeneracy`: for each component, its size and the least of its variances relative to the data's.
#' - `call`, `formula`, `terms`, `variables`, `row_names`, `data`, `weights`, `known`, `equal_proportions`, `noise`,
#'   `prior`, `fixed`, `criterion`, `control`, `na_action`.
#'
#' @references
#' Dempster, A. P., Laird, N. M. and Rubin, D. B. (1977). Maximum likelihood from incomplete data via the EM algorithm.
#' *Journal of the Royal Statistical Society B* 39, 1-38. \doi{10.1111/j.2517-6161.1977.tb01600.x}
#'
#' Celeux, G. and Govaert, G. (1995). Gaussian parsimonious clustering models. *Pattern Recognition* 28, 781-793.
#' \doi{10.1016/0031-3203(94)00125-6}
#'
#' Flury, B. N. and Gautschi, W. (1986). An algorithm for simultaneous orthogonal transformation of several positive
#' definite symmetric matrices to nearly diagonal form. *SIAM Journal on Scientific and Statistical Computing* 7,
#' 169-184. \doi{10.1137/0907013}
#'
#' Ghahramani, Z. and Hinton, G. E. (1996). The EM algorithm for mixtures of factor analyzers. Technical Report CRG-TR-96-1,
#' University of Toronto.
#'
#' Joreskog, K. G. (1967). Some contributions to maximum likelihood factor analysis. *Psychometrika* 32, 443-482.
#' \doi{10.1007/BF02289658}
#'
#' McNicholas, P. D. and Murphy, T. B. (2008). Parsimonious Gaussian mixture models. *Statistics and Computing* 18, 285-296.
#' \doi{10.1007/s11222-008-9056-0}
#'
#' McNicholas, P. D. and Murphy, T. B. (2010). Model-based clustering of microarray expression data via latent Gaussian
#' mixture models. *Bioinformatics* 26, 2705-2712. \doi{10.1093/bioinformatics/btq498}
#' @seealso [predict()][predict.em_gmm], [plot()][plot.em_gmm], [summary()][summary.em_gmm], [em_bootstrap()],
#'   [em_control()].
#' @examples
#' fit <- em_gmm(faithful, n_components = 1:3, covariance = c("EEE", "VVV"))
#' fit
#' head(fit$posterior)
#'
#' # A formula, missing values, and one model
#' em_gmm(~ log(Ozone) + Temp, data = airquality, n_components = 2, covariance = "VVV")
#'
#' # Many variables: factor analysers
#' em_gmm(USJudgeRatings, n_components = 1:2, covariance = c("UCC", "UUC"), n_factors = 1:2)
#' @export
em_gmm <- function(x, ...) UseMethod("em_gmm")

#' @rdname em_gmm
#' @export
em_gmm.default <- function(x, n_components = 1:9, covariance = "all", weights = NULL, equal_proportions = FALSE,
                           noise = NULL, prior = NULL, known = NULL, start = NULL, fixed = NULL, criterion = "BIC",
                           control = em_control(), n_factors = NULL, ...) {
  check_dots_empty(..., .function = "em_gmm")
  call <- match.call()
  call[[1L]] <- quote(em_gmm)
  name <- if (is.name(call$x)) as.character(call$x) else "x"
  input <- input_from_data(x, name)
  input$weights <- weights
  search_gmm(input, if (missing(n_components)) NULL else n_components, covariance, n_factors, equal_proportions, noise,
             prior, known, start, fixed, criterion, control, call)
}

#' @rdname em_gmm
#' @export
em_gmm.formula <- function(formula, data = NULL, n_components = 1:9, covariance = "all", weights, subset,
                           equal_proportions = FALSE, noise = NULL, prior = NULL, known = NULL, start = NULL,
                           fixed = NULL, criterion = "BIC", control = em_control(), n_factors = NULL, ...) {
  check_dots_empty(..., .function = "em_gmm")
  call <- match.call()
  call[[1L]] <- quote(em_gmm)
  input <- input_from_formula(formula, data, call, parent.frame())
  search_gmm(input, if (missing(n_components)) NULL else n_components, covariance, n_factors, equal_proportions, noise,
             prior, known, start, fixed, criterion, control, call)
}

# The body of both methods: checks, the grid, the choice, the fit.
search_gmm <- function(input, n_components, covariance, n_factors, equal_proportions, noise, prior, known, start, fixed,
                       criterion, control, call) {
  x <- input$x
  n <- nrow(x)
  d <- ncol(x)
  control <- check_control(control)
  threads <- resolve_threads(control)
  criterion <- check_choice(criterion, "criterion", c("BIC", "ICL", "AIC"))
  equal_proportions <- check_flag(equal_proportions, "equal_proportions")
  weights <- check_weights(input$weights, n)
  if (!is.null(n_components)) n_components <- check_components(n_components, n)
  codes <- resolve_covariance(covariance, max(d, 1L))
  n_factors <- check_factors(n_factors, codes, d)
  wanted <- if (is.null(n_components)) 9L else max(n_components)
  look <- check_data(x, input$variables, weights, wanted + 1L, threads)
  look$n_rows <- n
  noise <- check_noise(noise, look, n, d)
  known <- check_known(known, n, n_components, noise)
  if (!is.null(start)) {
    one <- if (length(n_components) > 1L) {
      em_abort("`start` needs a single `n_components`.", "start")
    } else n_components
    start <- user_start(start, n, d, one, !is.null(noise))
    if (start$n_components > n) em_abort("`start` has more components than there are rows.", "start")
    n_components <- start$n_components
  }
  if (is.null(n_components)) n_components <- seq_len(min(9L, n))
  fixed <- check_fixed(fixed, n_components, codes, d, equal_proportions, noise)
  prior <- check_prior(prior, look, x, d)
  spec <- list(
    equal_proportions = equal_proportions, noise = noise, prior = prior, fixed = fixed, known = known$labels,
    known_names = known$names
  )

  cells <- gmm_cells(codes, sort(unique(n_components)), n_factors)
  cells$message <- vapply(seq_len(nrow(cells)), function(i) {
    cell_obstacle(cells$covariance[i], cells$n_components[i], d, look, spec)
  }, "")
  if (nrow(cells) == 1L && nzchar(cells$message)) {
    em_abort(sprintf("%s with %s cannot be fitted: %s.", cells$covariance, count_components(cells$n_components),
                     cells$message), "cannot_fit")
  }
  todo <- which(!nzchar(cells$message))
  if (length(todo) == 0L) {
    em_abort(paste0("No model can be fitted: ", cells$message[1L], "."), "cannot_fit")
  }
  runs <- vector("list", nrow(cells))
  effort <- resolve_effort(control, length(todo), n, d, max(cells$n_components))
  runs[todo] <- if (effort$thorough && is.null(start) && length(todo) == 1L && has_factors(cells$covariance[todo])) {
    list(fit_factor_cell(x, weights, spec, cells[todo, ], effort, threads, look))
  } else {
    fit_gmm(x, weights, spec, cells[todo, ], start, effort, threads)
  }
  nobs <- sum_weights(x, weights)
  spec$n_informative <- sum_weights(x, NULL)
  if (length(todo) > 1L && is.null(start)) {
    if (effort$thorough) runs <- search_heywood(x, weights, spec, cells, runs, effort, threads)
    runs <- refit_leaders(x, weights, spec, cells, runs, criterion, control, threads, nobs)
  }
  best <- choose_cell(cells, runs, criterion, spec, d, nobs)
  if (is.na(best)) abort_degenerate(cells, runs)
  fit <- build_gmm(input, weights, spec, cells, runs, best, criterion, control, threads, call)
  if (!fit$converged) {
    em_warn(sprintf("The fit of %s with %s %s. %s", fit$covariance, count_components(fit$n_components), fit$message,
                    not_converged_advice(fit$status)), "not_converged")
  }
  if (!is.null(fit$heywood)) {
    em_warn(sprintf("%s: %s. The likelihood is that of the bound; %s keep it away.", fit$covariance,
                    heywood_message(fit$heywood, fit$covariance), heywood_remedies(fit$covariance, fit$n_components)),
            "heywood")
  }
  spurious <- fit$selection$message[best]
  if (fit$selection$status[best] == "spurious") {
    em_warn(sprintf(paste0("%s with %s is spurious: %s. Use fewer components, a simpler structure or ",
                           "`prior = TRUE`."), fit$covariance, count_components(fit$n_components), spurious), "spurious")
  }
  fit
}

build_gmm <- function(input, weights, spec, cells, runs, best, criterion, control, threads, call) {
  x <- input$x
  d <- ncol(x)
  run <- runs[[best]]
  k <- cells$n_components[best]
  nobs <- sum_weights(x, weights)
  parameters <- run$parameters
  order <- seq_len(k)
  if (is.null(spec$known) && is.null(spec$fixed)) order <- component_order(parameters, run$sizes)
  parameters <- reorder_components(parameters, order)
  if (!is.null(parameters$loadings)) parameters$loadings <- canonical_loadings(parameters, cells$covariance[best])
  labels <- as.character(seq_len(k))
  if (!is.null(spec$known_names)) labels[seq_along(spec$known_names)] <- spec$known_names
  all_labels <- c(labels, if (!is.null(spec$noise)) "noise")
  names(parameters$proportions) <- all_labels
  dimnames(parameters$means) <- list(input$variables, labels)
  dimnames(parameters$covariances) <- list(input$variables, input$variables, labels)
  if (!is.null(parameters$loadings)) {
    dimnames(parameters$loadings) <- list(input$variables, paste0("factor", seq_len(cells$n_factors[best])), labels)
    dimnames(parameters$uniquenesses) <- list(input$variables, labels)
  }
  parameters["noise"] <- list(if (!is.null(spec$noise)) {
    list(volume = prod(spec$noise$sides), sides = stats::setNames(spec$noise$sides, input$variables),
         lower = stats::setNames(spec$noise$lower, input$variables))
  })
  keep <- control$keep_posterior
  if (identical(keep, "auto")) keep <- as.double(nrow(x)) * length(all_labels) <= 1e7
  rows <- gmm_evaluate_(x, parameters, NULL, spec$known, if (keep) "classified" else "class", threads)
  classification <- if (keep) rows$class else rows
  if (keep) dimnames(rows$posterior) <- list(input$row_names, all_labels)
  criteria <- cell_criteria(cells, runs, spec, d, nobs)
  status <- vapply(runs, function(r) if (is.null(r)) "failed" else if (r$fitted) r$status else "degenerate", "")
  message <- ifelse(nzchar(cells$message), cells$message, vapply(runs, function(r) {
    if (is.null(r) || isTRUE(r$fitted)) "" else degeneracy_message(r)
  }, ""))
  message[status == "max_iter"] <- "stopped at the iteration limit"
  at_bound <- vapply(seq_along(runs), function(i) {
    heywood_message(heywood_cases(runs[[i]]$parameters, input$variables), cells$covariance[i])
  }, "")
  message[nzchar(at_bound) & !nzchar(message)] <- at_bound[nzchar(at_bound) & !nzchar(message)]
  spurious <- spurious_components(cells, runs, spec, d, nobs)
  status[nzchar(spurious)] <- "spurious"
  message[nzchar(spurious)] <- spurious[nzchar(spurious)]
  selection <- data.frame(
    covariance = cells$covariance, n_components = cells$n_components, n_factors = cells$n_factors,
    criteria[c("loglik", "df", "BIC", "ICL")], status = status, message = message
  )
  if (all(is.na(selection$n_factors))) selection$n_factors <- NULL
  new_em_fit(
    "em_gmm", call, input, parameters, run, df = criteria$df[best], nobs = nobs, starts = start_table(run),
    weights = weights, control = control,
    covariance = cells$covariance[best], n_components = as.integer(k),
    n_factors = if (!is.null(parameters$loadings)) as.integer(cells$n_factors[best]),
    heywood = heywood_cases(parameters, input$variables), selection = selection, criterion = criterion,
    posterior = if (keep) rows$posterior, classification = stats::setNames(classification, input$row_names),
    known = spec$known, equal_proportions = spec$equal_proportions, noise = !is.null(spec$noise), prior = spec$prior,
    fixed = spec$fixed,
    degeneracy = data.frame(component = labels, size = run$sizes[seq_len(k)][order],
                            relative_variance = run$relative_variance[order])
  )
}
