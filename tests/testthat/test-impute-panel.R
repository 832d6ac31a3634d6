# Panel data: time, units, lags and leads.

panel_data <- function() {
  with_seed(1, {
    d <- expand.grid(year = 2001:2012, country = c("A", "B", "C", "D"), stringsAsFactors = FALSE)
    level <- c(A = 0, B = 5, C = 10, D = 20)[d$country]
    slope <- c(A = 1, B = -1, C = 0.5, D = 2)[d$country]
    d$gdp <- level + slope * (d$year - 2006) + 0.1 * stats::rnorm(48)
    d$trade <- stats::rnorm(48)
    d$gdp[c(3, 17, 30, 41)] <- NA
    d$trade[c(4, 8, 20)] <- NA
    d[sample(48), ]
  })
}

test_that("a curve of time for each unit predicts what only it can, and leaves no columns behind", {
  d <- panel_data()
  plain <- with_seed(1, impute(d, id = c("year", "country"), m = 5))
  curves <- with_seed(1, impute(d, time = "year", cs = "country", polytime = 1, intercs = TRUE, m = 5))
  truth <- with(d, c(A = 0, B = 5, C = 10, D = 20)[country] + c(A = 1, B = -1, C = 0.5, D = 2)[country] * (year - 2006))
  error <- function(imp) mean(abs(imp$imputed$gdp - truth[imp$where$gdp]))
  expect_lt(error(curves), 0.5)
  expect_gt(error(plain), 2)
  expect_identical(names(em_complete(curves)), names(d))
  expect_identical(em_complete(curves)$year, d$year)
  expect_match(curves$columns$note[1], "time")
})

test_that("lags and leads are of the same unit, in the order of time", {
  d <- data.frame(t = c(2, 1, 3, 1, 2), u = c("a", "a", "a", "b", "b"), x = c(12, 11, 13, 21, 22))
  panel <- list(time = "t", cs = "u")
  columns <- as.list(d)
  expect_equal(panel_shift(panel, columns, cbind(d$x), FALSE)[, 1], c(11, NA, 12, NA, 21))
  expect_equal(panel_shift(panel, columns, cbind(d$x), TRUE)[, 1], c(13, 12, NA, 22, NA))
  imp <- impute(panel_data(), time = "year", cs = "country", lags = "gdp", leads = "gdp")
  expect_true(all(c("lag.gdp", "lead.gdp") %in% imp$variables))
  expect_false(anyNA(em_complete(imp)))
  d$t[1] <- 1
  expect_error(panel_shift(panel, as.list(d), cbind(d$x), FALSE), "same time", class = "em_error_panel")
})

test_that("splines of time follow curves, and dates are times", {
  d <- with_seed(2, data.frame(day = as.Date("2020-01-01") + 0:199, y = sin((0:199) / 30) + 0.05 * rnorm(200)))
  d$y[seq(10, 190, by = 15)] <- NA
  imp <- with_seed(1, impute(d, time = "day", splinetime = 6, m = 5))
  expect_lt(mean(abs(imp$imputed$y - sin((imp$where$y - 1) / 30))), 0.2)
  expect_equal(sum(grepl("^time", imp$variables)), 6)
  # as many as polytime says
  expect_equal(sum(grepl("^time", impute(d, time = "day", polytime = 2)$variables)), 2)
})

test_that("new rows are imputed with the same curves", {
  d <- panel_data()
  imp <- impute(d, time = "year", cs = "country", polytime = 1, intercs = TRUE)
  new <- data.frame(year = 2008L, country = c("A", "D"), gdp = NA, trade = 0)
  expect_equal(predict(imp, new)$gdp, c(2, 24), tolerance = 0.1)
  new$country <- "E"
  expect_error(predict(imp, new), class = "em_error_new_category")
})

test_that("options without what they need are classed errors", {
  d <- panel_data()
  expect_error(em_impute(d, polytime = 2), "needs `time`", class = "em_error_panel")
  expect_error(em_impute(d, intercs = TRUE), "needs `cs`", class = "em_error_panel")
  expect_error(em_impute(d, time = "year", polytime = 2, splinetime = 3), class = "em_error_panel")
  expect_error(em_impute(d, time = "year", polytime = 9), class = "em_error_argument")
  expect_error(em_impute(d, time = "year", cs = "country", lags = "country"), class = "em_error_panel")
  expect_error(em_impute(d, time = "yeer"), class = "em_error_time")
  expect_error(em_impute(d, lag = "gdp"), class = "em_error_unused_argument")
  d$year[1] <- NA
  expect_error(em_impute(d, time = "year", polytime = 1), "missing", class = "em_error_panel")
})

test_that("columns that are constant within units are no burden on effects of units", {
  d <- as.data.frame(ChickWeight)
  d$weight[with_seed(4, sample(578, 120))] <- NA
  seconds <- system.time({
    # chick 18 has one value left, which determines no line
    imp <- expect_no_warning(suppressMessages(em_impute(d, m = 2, time = "Time", cs = "Chick", polytime = 1,
                                                        intercs = TRUE, transform = c(weight = "log"))))
  })[["elapsed"]]
  expect_lt(seconds, 5)
  expect_match(imp$columns$note[4], "linear in unit")
  expect_false(any(grepl("Diet", imp$variables)))
  expect_match(imp$prior$reason, "how it depends on \"time.1.18\"")
  error <- log(imp$imputed$weight) - log(ChickWeight$weight[imp$where$weight])
  expect_lt(sqrt(mean(error^2)), 0.25)
})

test_that("a unit without a value of a column is imputed on the scale of the others", {
  d <- panel_data()
  d$gdp[d$country == "D"] <- NA
  message <- expect_message(imp <- em_impute(d, m = 10, time = "year", cs = "country", polytime = 1, intercs = TRUE),
                            "do not determine how it depends on", class = "em_message_ridge")
  expect_lt(max(abs(imp$imputed$gdp)), 200)
})
