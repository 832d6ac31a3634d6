# The speed and memory tables: emkit side by side with installed peers, as ratios within one process.
#
#   Rscript bench/run.R             every table (some minutes)
#   Rscript bench/run.R --quick     fewer repetitions
#   Rscript bench/run.R gmm search  only the tables of these names (files of bench/tables)
#
# The peers are optional: their rows are skipped, with a message, when absent.

arguments <- commandArgs(trailingOnly = TRUE)
file <- sub("^--file=", "", grep("^--file=", commandArgs(), value = TRUE))
bench_dir <- if (length(file)) dirname(normalizePath(file)) else "bench"

# OpenMP reads its thread count when the process starts: start again with two threads for ClusterR.
if (Sys.getenv("OMP_NUM_THREADS") != "2" && .Platform$OS.type == "unix") {
  status <- system2(file.path(R.home("bin"), "Rscript"), c(shQuote(file.path(bench_dir, "run.R")), arguments),
                    env = "OMP_NUM_THREADS=2 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1")
  quit(status = status)
}

library(emkit)
source(file.path(bench_dir, "lib.R"))
quick <- "--quick" %in% arguments
chosen <- setdiff(arguments, "--quick")

print_machine()
tables <- list.files(file.path(bench_dir, "tables"), pattern = "[.]R$", full.names = TRUE)
for (table in tables) {
  name <- sub("^[0-9]+-", "", sub("[.]R$", "", basename(table)))
  if (length(chosen) && !name %in% chosen) next
  source(table, local = new.env())
}
print_verdict()
