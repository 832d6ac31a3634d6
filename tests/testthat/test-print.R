# Pieces of printed output.

test_that("a call is broken after commas, and within an argument only where that is longer than a line", {
  call <- quote(em_impute(flock, m = 2, transform = c(weight = "log, natural"), time = "Time", cs = "Chick", m = 50))
  expect_identical(format_call(call, width = 80),
                   c("em_impute(flock, m = 2, transform = c(weight = \"log, natural\"), time = \"Time\",",
                     "  cs = \"Chick\", m = 50)"))
  lines <- format_call(call, lines = 9, width = 45)
  expect_true(all(nchar(lines) <= 45))
  expect_true(all(grepl(",$", lines[-length(lines)])))
  expect_identical(gsub(" ", "", paste(lines, collapse = "")), gsub(" ", "", deparse1(call)))
  sum <- quote(lm(y ~ alpha + beta + gamma + delta + epsilon + zeta, weights = w))
  expect_identical(format_call(sum, width = 40),
                   c("lm(y ~ alpha + beta + gamma + delta +", "  epsilon + zeta, weights = w)"))
  expect_match(format_call(call, width = 30)[2], "[.][.][.]$")
})
