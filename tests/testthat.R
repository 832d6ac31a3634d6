library(testthat)
library(emkit)

test_check("emkit")
