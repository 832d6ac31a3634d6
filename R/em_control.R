#' How a model is fitted: convergence, acceleration, starts, threads
#'
#' Every option of the EM loop that all models of the package share. The defaults are tight: a fit ends
#' within 1e-6, relatively, of the log-likelihood that the tightest tolerance reaches from the same start.
#'
#' @section Convergence:
#' EM converges linearly: near the optimum each step gains `rate` times what the step before it gained, so
#' after a gain `g` there is `g rate / (1 - rate)` left (Aitken's extrapolation). The loop has converged
#' when both the last gain and the gain that is left are below `tol (1 + |objective|)`, with the larger of
#' two successive rates. A small last gain alone is no convergence: at rate 0.99 a hundred times as much
#' may be left. Under acceleration the rate is measured on plain EM steps, taken for that purpose when a
#' step gains little. The objective is the log-likelihood, plus the log prior where there is one, of the
#' internally scaled data, so that stopping does not depend on units.
#'
#' @section Acceleration:
#' An accelerator proposes points beyond the plain EM step. If the objective falls there, the loop goes back
#' to the plain step, so that EM's guarantee holds: the objective never falls.
#'
#' @param tol Number between 0 and 1, default 1e-10: see Convergence. `tol = 0` runs exactly `max_iter` iterations.
#' @param max_iter Whole number >= 0, default 10000: the most iterations (accepted steps) of a run. A fit that
#'   ends there has `status` "max_iter" and a warning of class `em_warning_not_converged`. 0 evaluates the
#'   start.
#' @param acceleration "auto" (default), "none", "squarem" (squared extrapolation, Varadhan and Roland 2008),
#'   "anderson" (damped Anderson acceleration, Henderson and Varadhan 2019) or "subspace". "auto" is "anderson",
#'   which needed the fewest iterations on the package's slow cases; it starts after a few plain steps. "subspace"
#'   is for [em()] with a `loglik` of its own, and "auto" there: it starts at once and, as long as steps gain much,
#'   spends a few more log-likelihoods on the best point of the plane that EM's and Anderson's steps span (in the
#'   spirit of He and Liu 2012), which saves about a third of the EM steps. In other models it is "anderson".
#' @param n_starts Whole number >= 1, or NULL (default): starts tried where the model does not get one from the
#'   user. NULL: 50 for one model on small data, where they take no time, else 10. Likelihoods of latent variable
#'   models have many local maxima; one start is not enough.
#' @param n_short Whole number >= 1, default 15: the plain EM steps after which starts are compared.
#' @param n_polish Whole number >= 1, or NULL (default): how many of the best starts are run to convergence.
#'   NULL: 15 for one model on small data, 1 to 3 in a search over many models or on much data; the best
#'   models of a search are then fitted again as single models are.
#' @param threads Whole number >= 1, or NULL (default): `getOption("emkit.threads")` if set, else RcppParallel's
#'   own default (all processors, or its environment variable RCPP_PARALLEL_NUM_THREADS). Results are the
#'   same, to the last bit, for any number of threads. At most 2 are used under `R CMD check`, 1 in a forked
#'   child process (the thread library does not survive a fork).
#' @param progress TRUE or FALSE, default `interactive()`: show a progress bar for work of over two seconds.
#' @param search_rows Whole number >= 100, default 20000: with more rows than this, starts are compared on
#'   a random sample of so many rows, and the best two are then fitted to all rows.
#' @param keep_posterior TRUE, FALSE or "auto" (default): whether the fit holds the n x K matrix of posterior
#'   probabilities. "auto" leaves it out above ten million cells; `predict(fit, type = "posterior")` makes it.
#' @param keep_data TRUE (default) or FALSE: whether the fit holds the data; `predict()` without `newdata`,
#'   `plot()`, `vcov()` and bootstraps need them.
#' @return A list of class `em_control` with an element for each argument.
#' @references
#' Varadhan, R. and Roland, C. (2008). Simple and globally convergent methods for accelerating the convergence
#' of any EM algorithm. *Scandinavian Journal of Statistics* 35, 335-353.
#' \doi{10.1111/j.1467-9469.2007.00585.x}
#'
#' Henderson, N. C. and Varadhan, R. (2019). Damped Anderson acceleration with restarts and monotonicity control
#' for accelerating EM and EM-like algorithms. *Journal of Computational and Graphical Statistics* 28, 834-846.
#' \doi{10.1080/10618600.2019.1594835}
#'
#' He, Y. and Liu, C. (2012). The dynamic 'expectation-conditional maximization either' algorithm. *Journal of the
#' Royal Statistical Society: Series B* 74, 313-336. \doi{10.1111/j.1467-9868.2011.01013.x}
#' @examples
#' em_control(tol = 1e-12, threads = 1)
#' em_gmm(faithful, n_components = 2, covariance = "VVV", control = em_control(acceleration = "none"))
#' @export
em_control <- function(tol = 1e-10, max_iter = 10000L, acceleration = "auto", n_starts = NULL, n_short = 15L,
                       n_polish = NULL, threads = NULL, progress = interactive(), search_rows = 20000L,
                       keep_posterior = "auto", keep_data = TRUE) {
  if (!is.null(n_starts)) n_starts <- check_count(n_starts, "n_starts")
  if (!is.null(n_polish)) n_polish <- check_count(n_polish, "n_polish")
  if (!is.null(threads)) threads <- check_count(threads, "threads", highest = 1024L)
  if (!identical(keep_posterior, "auto")) keep_posterior <- check_flag(keep_posterior, "keep_posterior")
  structure(
    list(
      tol = check_number(tol, "tol", 0, 1, "one number between 0 and 1"),
      max_iter = check_count(max_iter, "max_iter", 0L),
      acceleration = check_choice(acceleration, "acceleration", c("auto", acceleration_registry_())),
      n_starts = n_starts,
      n_short = check_count(n_short, "n_short"),
      n_polish = n_polish,
      threads = threads,
      progress = check_flag(progress, "progress"),
      search_rows = check_count(search_rows, "search_rows", 100L),
      keep_posterior = keep_posterior,
      keep_data = check_flag(keep_data, "keep_data")
    ),
    class = "em_control"
  )
}

#' @export
print.em_control <- function(x, ...) {
  shown <- vapply(x, function(v) if (is.null(v)) "NULL (automatic)" else format(v), "")
  cat("Control of an EM fit\n")
  cat(paste0("  ", format(names(shown)), "  ", shown, "\n"), sep = "")
  invisible(x)
}

check_control <- function(control) {
  if (!inherits(control, "em_control")) check_fails("control", "made by em_control()", control)
  control
}

# The accelerator that "auto" stands for.
resolve_acceleration <- function(control, auto = "anderson") {
  if (control$acceleration == "auto") auto else control$acceleration
}

# Set when the package is loaded: a different process id later means a forked child.
process <- new.env(parent = emptyenv())

.onLoad <- function(libname, pkgname) {
  process$id <- Sys.getpid()
  isa <- Sys.getenv("EMKIT_ISA")
  if (nzchar(isa) && !kernel_set_isa_(isa)) {
    warning("EMKIT_ISA = ", isa, " is not available on this machine and is ignored.", call. = FALSE)
  }
}

# The number of threads to use now (see em_control).
resolve_threads <- function(control) {
  if (!identical(process$id, Sys.getpid())) return(1L)
  threads <- control$threads
  if (is.null(threads)) threads <- getOption("emkit.threads")
  if (is.null(threads)) threads <- RcppParallel::defaultNumThreads()
  threads <- check_count(threads, "threads", highest = 1024L)
  limit <- tolower(Sys.getenv("_R_CHECK_LIMIT_CORES_"))
  if (nzchar(limit) && limit != "false") threads <- min(threads, 2L)
  threads
}
