# The contract that every registered family of responses keeps, without and with covariates (and an offset), for every
# link, with missing rows, with fixed and with shared parameters. The loops run over response_registry_(): a new family
# is tested as soon as it is registered and has an entry in helper-families.R.

names_of_families <- response_registry_()$name

# Runs check(problem) as one test per family, link and variant.
for_each_response <- function(what, check, variants = c("free", "fixed", "shared")) {
  for (name in names_of_families) {
    example <- family_example(name)
    links <- c(list(NULL), if (!is.null(example$predicted)) as.list(example$link))
    for (link in links) for (variant in if (isFALSE(example$constraints)) intersect(variants, "free") else variants) {
      how <- if (is.null(link)) "" else if (is.na(link)) ", covariates" else sprintf(", covariates, %s link", link)
      problem <- family_problem(name, link, variant)
      test_that(sprintf("%s: %s%s, %s", what, name, how, variant), {
        check(problem)
      })
    }
  }
}

coordinates_of <- function(problem, parameters = problem$parameters) {
  response_coordinates_(problem$spec, parameters)
}

# The parameters after M-steps which, where they overshoot, are halved until they go uphill, as the models do.
guarded_steps <- function(problem, parameters, steps) {
  at <- oracle_expected(problem, parameters)
  for (i in seq_len(steps)) {
    to <- response_m_step_(problem$spec, parameters, problem$posterior)
    from <- coordinates_of(problem, parameters)$coordinates
    there <- coordinates_of(problem, to$parameters)$coordinates
    next_one <- to$parameters
    for (half in 1:30) {
      then <- oracle_expected(problem, next_one)
      if (then >= at - 1e-9 * abs(at)) break
      there <- (from + there) / 2
      next_one <- response_from_coordinates_(problem$spec, next_one, there)
    }
    parameters <- next_one
    at <- then
  }
  parameters
}

test_that("every registered family has an example and an object in R", {
  expect_setequal(names(family_examples), names_of_families)
  for (name in names_of_families) expect_s3_class(resolve_family(name), "em_family")
})

for_each_response("log densities equal R's, in tiles of any layout", function(problem) {
  expected <- oracle_log_density(problem)
  for (lanes in c(1L, 4L, 8L)) {
    expect_equal(response_log_density_(problem$spec, problem$parameters, lanes), expected, tolerance = 1e-10)
  }
})

for_each_response("statistics add over rows and do not depend on the layout of tiles", function(problem) {
  whole <- response_statistics_(problem$spec, problem$parameters, problem$posterior)
  for (lanes in c(4L, 8L)) {
    expect_equal(response_statistics_(problem$spec, problem$parameters, problem$posterior, lanes), whole,
                 tolerance = 1e-11)
  }
  # The same rows twice, each with half its posterior.
  twice <- problem
  twice$spec$y <- rbind(problem$spec$y, problem$spec$y)
  if (!is.null(problem$spec$x)) twice$spec$x <- rbind(problem$spec$x, problem$spec$x)
  if (!is.null(problem$spec$offset)) twice$spec$offset <- rep(problem$spec$offset, 2L)
  split <- with_seed(5, stats::runif(family_n))
  z <- rbind(problem$posterior * split, problem$posterior * (1 - split))
  expect_equal(response_statistics_(twice$spec, problem$parameters, z), whole, tolerance = 1e-11)
})

for_each_response("the score is the gradient of the weighted log density", function(problem) {
  score <- response_score_(problem$spec, problem$parameters, problem$posterior, 8L)
  expect_true(score$inside)
  point <- score$coordinates
  numeric <- vapply(seq_along(point), function(i) {
    at <- function(h) {
      moved <- point
      moved[i] <- moved[i] + h
      oracle_expected(problem, response_from_coordinates_(problem$spec, problem$parameters, moved))
    }
    h <- 1e-3
    (8 * (at(h) - at(-h)) - (at(2 * h) - at(-2 * h))) / (12 * h)
  }, 0)
  expect_equal(score$score, numeric, tolerance = 1e-7)
})

for_each_response("M-steps climb to a point of no gradient", function(problem) {
  step <- response_m_step_(problem$spec, problem$parameters, problem$posterior)
  expect_true(step$done)
  last <- if (step$exact) step$parameters else guarded_steps(problem, problem$parameters, 60L)
  expect_gte(oracle_expected(problem, last), oracle_expected(problem))
  score <- response_score_(problem$spec, last, problem$posterior)
  inside <- abs(score$coordinates) < 29
  expect_lt(max(abs(score$score[inside])), 1e-4)
})

for_each_response("parameters survive the way to the core and back", function(problem) {
  given <- coordinates_of(problem)
  expect_equal(given$parameters, problem$parameters, tolerance = 1e-12)
  again <- coordinates_of(problem, given$parameters)
  expect_identical(again$parameters, given$parameters)
  expect_true(given$packs)
  expect_equal(given$from_coordinates, given$parameters, tolerance = 1e-12)
  expect_equal(given$from_packed, given$parameters, tolerance = 1e-12)
})

for_each_response("there are as many coordinates as degrees of freedom", function(problem) {
  point <- coordinates_of(problem)$coordinates
  jacobian <- vapply(seq_along(point), function(i) {
    at <- function(h) {
      moved <- point
      moved[i] <- moved[i] + h
      as.vector(response_from_coordinates_(problem$spec, problem$parameters, moved))
    }
    (at(1e-4) - at(-1e-4)) / 2e-4
  }, numeric(length(problem$parameters)))
  expect_identical(qr(jacobian, tol = 1e-6)$rank, length(point))
})

for_each_response("fixed parameters stay and shared ones stay equal", function(problem) {
  last <- response_m_step_(problem$spec, problem$parameters, problem$posterior)$parameters
  overall <- response_overall_(problem$spec, 3L)
  held <- which(!is.na(problem$spec$fixed))
  for (parameters in list(last, overall)) {
    if (!is.null(problem$spec$fixed)) expect_equal(parameters[held], problem$spec$fixed[held], tolerance = 1e-15)
    if (!is.null(problem$spec$shared)) {
      shared <- parameters[problem$spec$shared, , drop = FALSE]
      expect_identical(shared, shared[, c(1L, 1L, 1L), drop = FALSE])
    }
  }
}, c("fixed", "shared"))

for_each_response("a component without weight keeps its parameters", function(problem) {
  posterior <- problem$posterior
  posterior[, 2L] <- 0
  step <- response_m_step_(problem$spec, problem$parameters, posterior)
  expect_true(step$done)
  expect_identical(step$parameters[, 2L], problem$parameters[, 2L])
  expect_false(identical(step$parameters[, 1L], problem$parameters[, 1L]))
}, "free")

for_each_response("the overall point is one for all components, and a step from it climbs", function(problem) {
  overall <- response_overall_(problem$spec, 3L)
  expect_identical(overall, overall[, c(1L, 1L, 1L), drop = FALSE])
  density <- response_log_density_(problem$spec, overall)
  expect_true(all(is.finite(density)))
  to <- guarded_steps(problem, overall, 1L)
  expect_gte(oracle_expected(problem, to) - oracle_expected(problem, overall), -1e-8)
}, "free")

for_each_response("users' parameters and natural ones are the same numbers", function(problem) {
  natural <- problem$parameters
  colnames(natural) <- c("1", "2", "3")
  user <- problem$family$from_natural(natural, problem$info)
  expect_equal(problem$family$to_natural(user, problem$info, 3L, problem$info$p), problem$parameters, tolerance = 1e-14)
  expect_identical(nrow(natural), as.integer(problem$family$n_parameters(problem$info, problem$info$p)))
}, "free")
