# What em_hmm() returns: states in order, rows as the user has them, constraints kept.

# Three sequences of a chain of two states, with a covariate.
hmm_panel <- function() {
  with_seed(4, {
    n <- c(40, 1, 60)
    state <- unlist(lapply(n, function(m) Reduce(function(s, u) if (u < 0.15) 3 - s else s, stats::runif(m - 1), 1,
                                                 accumulate = TRUE)))
    data.frame(id = rep(c("b", "c", "a"), n), t = sequence(n), x = stats::rnorm(101), state = state,
               y = stats::rnorm(101, c(0, 3)[state], c(1, 0.6)[state]), count = stats::rpois(101, c(2, 8)[state]))
  })
}
quick_control <- em_control(progress = FALSE, n_starts = 8, n_polish = 4)
quick <- function(...) quietly(with_seed(1, em_hmm(..., control = quick_control)))

test_that("a fit has the fields that the help page promises", {
  d <- hmm_panel()
  fit <- quick(y ~ 1, data = d, n_states = 2, id = ~ id)
  expect_s3_class(fit, c("em_hmm", "em_fit"), exact = TRUE)
  expect_equal(names(fit$parameters), c("initial", "transition", "emission"))
  expect_equal(names(fit$parameters$emission), c("mean", "sd"))
  expect_equal(rowSums(fit$parameters$transition), c("1" = 1, "2" = 1))
  expect_equal(dim(fit$posterior), c(101L, 2L))
  expect_close(unname(rowSums(fit$posterior)), rep(1, 101), 1e-12)
  expect_equal(fit$sequences$id, c("b", "c", "a"))
  expect_equal(fit$sequences$n, c(40L, 1L, 60L))
  expect_equal(sum(fit$sequences$loglik), fit$loglik)
  expect_equal(unname(fit$counts), unname(colSums(fit$posterior)))
  expect_equal(fit$degeneracy$dwell, unname(1 / (1 - diag(fit$parameters$transition))))
  expect_equal(c(fit$df, fit$nobs, fit$n_rows), c(7, 101, 101))
  expect_true(mean(fit$states == d$state) > 0.9)
})

test_that("rows may come in any order of sequences, and results are in the user's order", {
  d <- hmm_panel()
  fit <- quick(y ~ 1, data = d, n_states = 2, id = ~ id, transition = ~ x, weights = ifelse(id == "a", 2, 1))
  # Sequences mixed, each in its own order.
  rows <- with_seed(2, order(stats::ave(stats::runif(101), d$id, FUN = sort)))
  mixed <- quick(y ~ 1, data = d[rows, ], n_states = 2, id = ~ id, time = ~ t, transition = ~ x,
                 weights = ifelse(id == "a", 2, 1), start = fit)
  expect_equal(mixed$loglik, fit$loglik, tolerance = 1e-9)
  expect_equal(unname(mixed$posterior), unname(fit$posterior[rows, ]), tolerance = 1e-5)
  expect_equal(unname(mixed$states), unname(fit$states[rows]))
})

test_that("ntimes and id say the same", {
  d <- hmm_panel()
  by_id <- quick(y ~ 1, data = d, n_states = 2, id = id)
  expect_equal(quick(y ~ 1, data = d, n_states = 2, ntimes = c(40, 1, 60))$loglik, by_id$loglik)
  expect_equal(quick(d$y, n_states = 2, id = d$id)$loglik, by_id$loglik)
})

test_that("a sequence of weight two counts as two", {
  d <- hmm_panel()
  twice <- rbind(d, transform(d[d$id == "a", ], id = "again"))
  expect_equal(quick(y ~ 1, data = d, n_states = 2, id = ~ id, weights = c(1, 1, 2))$loglik,
               quick(y ~ 1, data = twice, n_states = 2, id = ~ id)$loglik, tolerance = 1e-8)
})

test_that("states are in the order of the first response's mean, or as order_by says", {
  d <- hmm_panel()
  expect_false(is.unsorted(quick(y ~ 1, data = d, n_states = 2)$parameters$emission$mean))
  expect_false(is.unsorted(quick(y ~ 1, data = d, n_states = 2, order_by = "sd")$parameters$emission$sd))
  formulas <- list(y ~ 1, count ~ 1)
  family <- list("gaussian", "poisson")
  plain <- quick(formulas, data = d, n_states = 2, family = family)
  turned <- quick(formulas, data = transform(d, count = max(count) - count), n_states = 2, family = family,
                  order_by = "count")
  expect_false(is.unsorted(turned$parameters$emission$count$lambda))
  expect_true(is.unsorted(turned$parameters$emission$y$mean))
  by_sd <- quick(formulas, data = d, n_states = 2, family = family, order_by = c("y", "sd"))
  expect_equal(unname(by_sd$parameters$transition), unname(plain$parameters$transition[2:1, 2:1]), tolerance = 1e-4)
})

test_that("with covariates the order is that of the means at the average of the covariates", {
  d <- transform(hmm_panel(), x = x + 10)
  d$y <- d$y - 2 * (d$x - 10)
  fit <- quick(y ~ x, data = d, n_states = 2)
  b <- fit$parameters$emission$coefficients
  expect_lt(b[1, 1] + mean(d$x) * b[2, 1], b[1, 2] + mean(d$x) * b[2, 2])
})

test_that("reordered states give the same likelihood of the coefficients of transitions and initial law", {
  d <- hmm_panel()
  fit <- quick(y ~ 1, data = d, n_states = 2, id = ~ id, transition = ~ x, initial = ~ x, order_by = "sd",
               start = list(emission = list(mean = c(0, 3), sd = c(1, .6))))
  expect_true(is.unsorted(fit$parameters$emission$mean))
  expect_equal(fit$parameters$initial[, 1], c("(Intercept)" = 0, x = 0))
  for (i in 1:2) expect_equal(unname(fit$parameters$transition[, i, i]), c(0, 0))
  into <- hmm_logit_transition(cbind(1, d$x), fit$parameters$transition, d$id, "from")
  initial <- hmm_logit_initial(cbind(1, d$x), fit$parameters$initial, d$id)
  p <- fit$parameters$emission
  D <- vapply(1:2, function(k) stats::dnorm(d$y, p$mean[k], p$sd[k], log = TRUE), d$y)
  expect_close(hmm_forward(initial, into, D, d$id), fit$loglik, 1e-10)
})

test_that("of several numbers of states the one of least BIC is returned", {
  fit <- quick(y ~ 1, data = hmm_panel(), n_states = c(3, 1, 2))
  expect_equal(fit$selection$n_states, 1:3)
  expect_equal(fit$n_states, fit$selection$n_states[which.min(fit$selection$BIC)])
  row <- fit$selection[fit$selection$n_states == fit$n_states, ]
  expect_equal(row$BIC, stats::BIC(fit))
  expect_equal(row$AIC, stats::AIC(fit))
  expect_equal(row$ICL, stats::BIC(fit) - 2 * sum(log(apply(fit$posterior, 1, max))))
})

test_that("degrees of freedom count what is free", {
  d <- hmm_panel()
  df <- function(...) quick(y ~ 1, data = d, ...)$df
  expect_equal(df(n_states = 1), 2)
  expect_equal(df(n_states = 3), 2 + 6 + 6)
  expect_equal(df(n_states = 2, initial = "stationary"), 2 + 4)
  expect_equal(df(n_states = 2, initial = c(1, 0)), 2 + 4)
  expect_equal(df(n_states = 2, transition = ~ x), 1 + 4 + 4)
  expect_equal(df(n_states = 2, initial = ~ x, id = ~ id), 2 + 2 + 4)
  expect_equal(df(n_states = 3, topology = "left-right"), 2 + 3 + 6)
  expect_equal(df(n_states = 2, shared = "sd"), 1 + 2 + 3)
  expect_equal(df(n_states = 2, fixed = list(sd = c(NA, 1))), 1 + 2 + 3)
  expect_equal(df(n_states = 2, fixed = list(transition = rbind(c(.9, .1), NA))), 1 + 1 + 4)
  expect_equal(quick(count ~ x, data = d, n_states = 2, family = "poisson", shared = "x")$df, 1 + 2 + 3)
})

test_that("rows that observe nothing do not count as observations, and stay in the fit", {
  d <- hmm_panel()
  d$y[5:8] <- NA
  fit <- quick(y ~ 1, data = d, n_states = 2, id = ~ id)
  expect_equal(fit$nobs, 97)
  expect_equal(nrow(fit$posterior), 101)
})

test_that("impossible transitions stay impossible", {
  d <- hmm_panel()
  for (topology in list("left-right", rbind(c(1, 1, 0), c(0, 1, 1), c(1, 0, 1)))) {
    fit <- quick(y ~ 1, data = d, n_states = 3, topology = topology)
    allowed <- if (is.matrix(topology)) topology == 1 else upper.tri(diag(3), diag = TRUE)
    expect_true(all(fit$parameters$transition[!allowed] == 0))
    expect_true(all(allowed[cbind(fit$states[-101], fit$states[-1])]))
  }
  fit <- quick(y ~ 1, data = d, n_states = 3, topology = "left-right", transition = ~ x)
  expect_true(all(predict(fit, type = "transition")[2, 1, ] == 0))
})

test_that("fixed values are kept and shared ones are equal", {
  d <- hmm_panel()
  fit <- quick(y ~ x, data = d, n_states = 2, fixed = list(initial = c(.3, .7), transition = rbind(c(.8, .2), NA),
                                                           sd = c(NA, .5)),
               shared = "x")
  p <- fit$parameters
  expect_equal(unname(p$initial), c(.3, .7))
  expect_equal(unname(p$transition[1, ]), c(.8, .2))
  expect_equal(p$emission$sd[[2]], .5)
  expect_equal(p$emission$coefficients["x", 1], p$emission$coefficients["x", 2], tolerance = 1e-12)
})

test_that("known states name the states and are certain", {
  d <- hmm_panel()
  d$label <- ifelse(seq_len(101) %% 4 == 0, c("low", "high")[d$state], NA)
  fit <- quick(y ~ 1, data = d, n_states = 2, known = "label")
  expect_equal(colnames(fit$posterior), c("high", "low"))
  rows <- which(!is.na(d$label))
  expect_equal(unname(fit$posterior[rows, "low"]), as.numeric(d$label[rows] == "low"))
  expect_gt(fit$parameters$emission$mean[["high"]], fit$parameters$emission$mean[["low"]])
  expect_equal(quick(y ~ 1, data = d, n_states = 2, known = label)$loglik, fit$loglik)
})

test_that("an initial distribution of each sequence stays as given", {
  d <- hmm_panel()
  initial <- cbind(c(.9, .1), c(.5, .5), c(.2, .8))
  fit <- quick(y ~ 1, data = d, n_states = 2, id = ~ id, initial = initial)
  expect_equal(unname(fit$parameters$initial), initial)
  p <- fit$parameters
  D <- vapply(1:2, function(k) stats::dnorm(d$y, p$emission$mean[k], p$emission$sd[k], log = TRUE), d$y)
  expect_close(hmm_forward(initial, unname(p$transition), D, d$id), fit$loglik, 1e-10)
})

test_that("every kind of start leads to the same optimum", {
  d <- hmm_panel()
  fit <- quick(y ~ 1, data = d, n_states = 2, id = ~ id)
  starts <- list(
    fit, fit$states, fit$posterior, fit$parameters, list(emission = list(mean = c(0, 3), sd = c(1, 1))),
    quick(y ~ 1, data = d, n_states = 2, id = ~ id, transition = ~ x)
  )
  for (start in starts) {
    expect_equal(quick(y ~ 1, data = d, n_states = 2, id = ~ id, start = start)$loglik, fit$loglik, tolerance = 1e-8)
  }
  expect_equal(quick(y ~ 1, data = d, id = ~ id, start = fit)$n_states, 2L)
})

test_that("a previous fit is a start for a model with covariates", {
  d <- hmm_panel()
  fit <- quick(y ~ 1, data = d, n_states = 2, id = ~ id)
  wider <- quick(y ~ x, data = d, n_states = 2, id = ~ id, transition = ~ x, initial = ~ x, start = fit)
  expect_gt(wider$loglik, fit$loglik)
})

test_that("results depend on the seed and not on threads", {
  d <- hmm_panel()
  run <- function(threads) {
    with_seed(7, quietly(em_hmm(y ~ 1, data = d, n_states = 3,
                                control = em_control(threads = threads, progress = FALSE))))
  }
  one <- run(1)
  two <- run(2)
  expect_identical(one$parameters, two$parameters)
  expect_identical(one$starts, two$starts)
})

test_that("many rows are searched on samples, and end at the optimum of all rows", {
  d <- with_seed(3, {
    state <- Reduce(function(s, u) if (u < 0.1) 3 - s else s, stats::runif(2999), 1, accumulate = TRUE)
    data.frame(y = stats::rnorm(3000, c(0, 2)[state]))
  })
  control <- em_control(search_rows = 500, progress = FALSE)
  sampled <- with_seed(1, em_hmm(y ~ 1, data = d, n_states = 2, control = control))
  expect_equal(sampled$starts$method, rep("fit of a sample", 2))
  expect_equal(sampled$loglik, quick(y ~ 1, data = d, n_states = 2)$loglik, tolerance = 1e-8)
})

test_that("a fit can go without its data and its posterior", {
  control <- em_control(keep_data = FALSE, keep_posterior = FALSE, progress = FALSE, n_starts = 3)
  fit <- quietly(em_hmm(y ~ 1, data = hmm_panel(), n_states = 2, control = control))
  expect_null(fit$posterior)
  expect_null(fit$data)
  expect_error(vcov(fit), class = "em_error_no_data")
  expect_equal(nrow(predict(fit, hmm_panel(), type = "posterior")), 101)
})

test_that("a limit on iterations is a warning, and an empty state is one", {
  d <- hmm_panel()
  expect_warning(em_hmm(y ~ 1, data = d, n_states = 2, control = em_control(max_iter = 2, progress = FALSE)),
                 class = "em_warning_not_converged")
  start <- list(initial = c(1, 0, 0), transition = rbind(c(.9, .1, 0), c(.1, .9, 0), c(.3, .3, .4)),
                emission = list(mean = c(0, 3, 9), sd = c(1, 1, 1)))
  expect_warning(em_hmm(y ~ 1, data = d, n_states = 3, start = start, control = em_control(progress = FALSE)),
                 "\"3\"", class = "em_warning_empty_state")
})

test_that("a vector, a matrix and a data frame are responses too", {
  d <- hmm_panel()
  expect_equal(quick(d$y, n_states = 2)$loglik, quick(y ~ 1, data = d, n_states = 2)$loglik)
  both <- quick(cbind(y, x) ~ 1, data = d, n_states = 2)
  expect_equal(quick(d[c("y", "x")], n_states = 2)$loglik, both$loglik)
  expect_equal(quick(as.matrix(d[c("y", "x")]), n_states = 2)$loglik, both$loglik)
})

test_that("the structure of a multivariate response is that of em_gmm", {
  d <- hmm_panel()
  fit <- quick(cbind(y, x) ~ 1, data = d, n_states = 2, covariance = "spherical")
  covariance <- fit$parameters$emission$covariance
  expect_equal(covariance["y", "y", ], covariance["x", "x", ])
  expect_true(all(covariance["y", "x", ] == 0))
  expect_equal(fit$df, 3 + 4 + 2)
})

test_that("a state that rests on a visit or two gives a warning", {
  set.seed(1)
  y <- c(rnorm(40), rep(5, 10))
  expect_warning(em_hmm(y, n_states = 2, control = em_control(progress = FALSE)), class = "em_warning_spurious")
})

test_that("transitions that no row follows are not estimated, and do not count", {
  fit <- function(...) em_hmm(eruptions ~ 1, faithful, n_states = 2, ntimes = rep(1, 272), ...,
                              control = em_control(progress = FALSE))
  expect_warning(free <- fit(), class = "em_warning_not_identified")
  # Five parameters, as the mixture has.
  mixture <- em_mixture(eruptions ~ 1, faithful, n_components = 2, control = em_control(progress = FALSE))
  expect_close(free$loglik, mixture$loglik, 1e-8)
  expect_equal(free$df, mixture$df)
  expect_equal(free$selection$df, mixture$df)
  expect_output(print(summary(free)), "transitions are not estimated")
  expect_true(all(is.na(free$degeneracy$dwell)))
  # A stationary law has one parameter for two states, by way of the transitions.
  expect_equal(quietly(fit(initial = "stationary"))$df, 5)
  expect_no_warning(fit(transition = matrix(.5, 2, 2)))
})

test_that("a start with equal states ends at a saddle, which is said", {
  counts <- with_seed(1, stats::rpois(100, rep(c(20, 30), each = 50)))
  start <- list(emission = list(lambda = c(24, 24)))
  expect_warning(fit <- em_hmm(counts, n_states = 2, family = "poisson", start = start), class = "em_warning_saddle")
  expect_equal(fit$equal, c("1", "2"))
  expect_no_warning(em_hmm(counts, n_states = 2, family = "poisson", control = em_control(progress = FALSE)))
})
