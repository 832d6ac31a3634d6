# What the user's functions may return, and what is said when they go wrong.

test_that("functions may leave out the data", {
  y <- c(125, 18, 20, 34)
  fit <- em(list(t = 0.5), function(theta) y[1] * theta$t / (2 + theta$t),
            function(x) list(t = (x + y[4]) / (x + sum(y[2:4]))),
            function(theta) sum(y * log(c(2 + theta$t, 1 - theta$t, 1 - theta$t, theta$t))), transform = "probability")
  expect_equal(fit$parameters$t, 0.6268214979, tolerance = 1e-8)
  own <- em(list(t = 0.5), update = function(theta, z = y) list(t = (z[1] * theta$t / (2 + theta$t) + z[4]) /
                                                                 (z[1] * theta$t / (2 + theta$t) + sum(z[2:4]))),
            loglik = function(theta, z = y) sum(z * log(c(2 + theta$t, 1 - theta$t, 1 - theta$t, theta$t))))
  expect_equal(own$parameters$t, 0.6268214979, tolerance = 1e-6)
  expect_error(em(list(t = 0.5), update = function() 1, loglik = function(theta) 1), "update",
               class = "em_error_argument")
  expect_error(em(list(t = 0.5), update = function(theta, a, b) 1, loglik = function(theta) 1), "`b`",
               class = "em_error_argument")
})

test_that("values may differ from the start in what does not matter", {
  model <- em_model_linkage()
  for (dress in list(function(t) list(t = c(x = t)), function(t) list(t = matrix(t)),
                     function(t) list(t = array(t, c(1, 1, 1))))) {
    fit <- em_fit_of(model, m_step = function(x, y) dress((x + y[4]) / (x + sum(y[2:4]))))
    expect_identical(attributes(fit$parameters$t), NULL)
    expect_equal(fit$parameters$t, 0.6268214979, tolerance = 1e-8)
  }
  # another order of the elements
  swapped <- em_model_deaths()
  original <- swapped$m_step
  swapped$m_step <- function(z, data) original(z, data)[2:1]
  expect_equal(em_fit_of(swapped)$parameters, em_fit_of(em_model_deaths())$parameters)
})

test_that("values of another shape are errors that say which function, when and what", {
  model <- em_model_deaths()
  returns <- function(value, pattern) {
    expect_error(em_fit_of(model, m_step = function(z, data) value), pattern, class = "em_error_closure_value")
  }
  returns(list(p = 0.5), "m_step.*iteration 1.*no element `mu`")
  returns(list(p = 0.5, mu = 1:3 + 0), "`mu` has length 3, not 2")
  returns(list(p = 0.5, mu = c("1", "2")), "`mu` is .*not numeric")
  returns(list(p = 0.5, mu = c(1, NaN)), "`mu\\[2\\]` is NaN")
  returns(list(p = 0.5, mu = c(1, 2), nu = 3), "no element `nu`")
  returns(c(0.5, 1, 2), "no list")
  plane <- em_model_plane()
  expect_error(em_fit_of(plane, m_step = function(z, x) utils::modifyList(plane$start, list(mu = c(0, 0, 2, 2)))),
               "`mu` has no dimensions, not dimension 2 x 2", class = "em_error_closure_value")
  abo <- em_model_abo()
  for (names in list(c("B", "A", "P"), c("A", "A", "O"))) {
    expect_error(em_fit_of(abo, m_step = function(x, n) list(genes = stats::setNames(c(0.3, 0.3, 0.4), names))),
                 "`genes` has the names .*unname\\(\\)", class = "em_error_closure_value")
  }
})

test_that("entries are matched by their names", {
  abo <- em_model_abo()
  expected <- em_fit_of(abo)$parameters
  original <- abo$m_step
  expect_equal(em_fit_of(abo, m_step = function(x, n) list(genes = original(x, n)$genes[c("O", "A", "B")]))$parameters,
               expected)
  expect_equal(em_fit_of(abo, m_step = function(x, n) list(genes = unname(original(x, n)$genes)))$parameters, expected)
  # rows and columns of a matrix
  x <- as.matrix(datasets::iris[1:50, 1:3])
  start <- diag(3)
  dimnames(start) <- list(colnames(x), colnames(x))
  covariance <- function(order) {
    em(start, update = function(s, x) stats::cov(x[, order]), data = x, transform = "covariance",
       loglik = function(s, x) {
         -49 * (as.numeric(determinant(s)$modulus) + sum(diag(solve(s, stats::cov(x)))))
       })$parameters
  }
  expect_equal(covariance(c(3, 1, 2)), stats::cov(x))
  # other names of dimensions are left alone
  expect_identical(em_in_order(matrix(1:4, 2, dimnames = list(c("u", "v"), NULL)), diag(2)),
                   matrix(1:4, 2, dimnames = list(c("u", "v"), NULL)))
})

test_that("functions of dots get the data, and missing data are mentioned", {
  model <- em_model_linkage()
  inner <- model$e_step
  expect_equal(em_fit_of(model, e_step = function(...) inner(...))$parameters, em_fit_of(model)$parameters)
  model$data <- NULL
  expect_error(do.call(em, model), "No `data`", class = "em_error_closure_value")
  expect_error(do.call(em, utils::modifyList(model, list(e_step = function(theta, y) y$a$b + nothing))),
               "No `data`", class = "em_error_closure")
})

test_that("a log-likelihood that is no finite number is an error", {
  model <- em_model_linkage()
  expect_error(em_fit_of(model, loglik = function(theta, y) y), "sum\\(\\)", class = "em_error_closure_value")
  expect_error(em_fit_of(model, loglik = function(theta, y) NULL), "one number", class = "em_error_closure_value")
  expect_error(em_fit_of(model, loglik = function(theta, y) -Inf), "-Inf at the start", class = "em_error_start")
  model$loglik <- NULL
  expect_error(em_fit_of(model), "attribute", class = "em_error_closure_value")
  later <- em_model_linkage()
  calls <- 0
  error <- expect_error(em_fit_of(later, loglik = function(theta, y) {
    calls <<- calls + 1
    if (calls > 2) NaN else calls
  }), "NaN in iteration 2", class = "em_error_closure")
  expect_identical(error$iteration, 2L)
})

test_that("an error inside a function keeps its message and says where it was", {
  calls <- 0
  error <- expect_error(em_fit_of(em_model_linkage(), m_step = function(x, y) {
    calls <<- calls + 1
    if (calls == 3) stop("no such matrix")
    list(t = 0.5 + calls / 1000)
  }), "`m_step` stopped with an error in iteration 3: no such matrix", class = "em_error_closure")
  expect_identical(error$closure, "m_step")
  expect_s3_class(error$parent, "simpleError")
  expect_error(em_fit_of(em_model_linkage(), loglik = function(theta, y) stop("bad")), "`loglik`.*at the start: bad",
               class = "em_error_closure")
  # errors that the function itself handles are its own business, and warnings get through
  said <- FALSE
  expect_warning(em_fit_of(em_model_linkage(), e_step = function(theta, y) {
    try(stop("handled"), silent = TRUE)
    if (!said) warning("heard")
    said <<- TRUE
    y[1] * theta$t / (2 + theta$t)
  }), "heard")
})
