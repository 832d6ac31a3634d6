#' emkit: latent variable models by the EM algorithm
#'
#' The models:
#'
#' - [em_gmm()] fits Gaussian mixtures: all fourteen covariance structures, missing values, weights,
#'   noise, known labels, and the choice of structure and number of components.
#' - [em_hmm()] fits hidden Markov models, and [em_mixture()] mixtures of distributions and of regressions: sixteen
#'   families of responses, several at once, with covariates.
#' - [em_mvnorm()] estimates mean and covariance of incomplete multivariate data.
#' - [em_fa()] fits factor analyses and probabilistic principal components, with missing values too.
#' - [em_impute()] imputes the missing values of data frames; [em_complete()], [em_pool()] and [em_pool_test()] work with
#'   the imputations.
#' - [em()] fits a model of your own, from an E-step and an M-step written in R.
#'
#' Every fit goes through one EM loop, set by [em_control()]: how it starts, accelerates and stops,
#' and on how many threads. A fit is a plain list of class `em_fit`, made for [summary()], [plot()],
#' [predict()], [simulate()], [logLik()], [AIC()], [BIC()], [coef()], [vcov()], [confint()],
#' [update()], and `tidy()`, `glance()` and `augment()` of the generics package.
#'
#' @section Conventions:
#' - `BIC()`, `AIC()` and `ICL()` are minus twice the log-likelihood plus a penalty: lower is better.
#' - Components are ordered by decreasing proportion, states of a hidden Markov model by their first parameter, factors by
#'   the variance that they explain.
#' - `weights` are observation weights, as in [stats::lm()].
#' - The random numbers are R's: after `set.seed()` a result is the same for any number of threads.
#'
#' @section Options:
#' - `emkit.threads`: the number of threads where [em_control()] does not say.
#'
#' @references
#' Dempster, A. P., Laird, N. M. and Rubin, D. B. (1977). Maximum likelihood from incomplete data via
#' the EM algorithm. *Journal of the Royal Statistical Society B* 39, 1-38.
#' \doi{10.1111/j.2517-6161.1977.tb01600.x}
#'
#' @keywords internal
#' @useDynLib emkit, .registration = TRUE
#' @importFrom Rcpp evalCpp
#  Importing from RcppParallel loads it, and with it the thread library that emkit's own needs.
#' @importFrom RcppParallel RcppParallelLibs
#  These come with every R, and no two of them share a name.
#' @import graphics
#' @import grDevices
#' @import stats
#' @import utils
"_PACKAGE"
