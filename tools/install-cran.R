# Installs packages from CRAN's sources:  Rscript tools/install-cran.R <checkout> <library> <package>...
argv <- commandArgs(trailingOnly = TRUE)
root <- argv[1]
library_dir <- argv[2]
packages <- argv[-(1:2)]

repos <- getOption("repos")
if (is.null(repos) || is.na(repos["CRAN"]) || repos[["CRAN"]] == "@CRAN@") {
  repos <- c(CRAN = "https://cloud.r-project.org")
}
options(repos = repos, timeout = max(900, getOption("timeout")), menu.graphics = FALSE)

# Versions other than the newest, from CRAN's archive.
archived <- character()
if ("RcppParallel" %in% packages && !nzchar(Sys.which("cmake"))) {
  # From version 6 on its build needs cmake.
  archived["RcppParallel"] <- "5.1.11-2"
}
if ("roxygen2" %in% packages) {
  # Another version would write other files than those in man/.
  archived["roxygen2"] <- read.dcf(file.path(root, "DESCRIPTION"))[1, "RoxygenNote"]
}

# Sources that would use a system library (libuv) build without it on request.
Sys.setenv(USE_BUNDLED_LIBUV = "1")

# An archived version, fetched: the file, and the packages that its own DESCRIPTION asks for.
offered <- available.packages()
fetch <- function(package, version) {
  newest <- package %in% rownames(offered) && offered[package, "Version"] == version
  folder <- paste0(repos[["CRAN"]], "/src/contrib/", if (!newest) paste0("Archive/", package, "/"))
  file <- file.path(tempdir(), sprintf("%s_%s.tar.gz", package, version))
  utils::download.file(paste0(folder, basename(file)), file, quiet = TRUE)
  utils::untar(file, file.path(package, "DESCRIPTION"), exdir = tempdir())
  fields <- read.dcf(file.path(tempdir(), package, "DESCRIPTION"),
                     c("Depends", "Imports", "LinkingTo"))
  needs <- unlist(strsplit(fields[!is.na(fields)], ","))
  list(file = file, needs = setdiff(trimws(sub("\\(.*", "", needs)), "R"))
}
fetched <- Map(function(package, version) {
  tryCatch(fetch(package, version), error = function(e) message(package, ": ", conditionMessage(e)))
}, names(archived), archived)
fetched <- Filter(Negate(is.null), fetched)

# Packages that need a newer R than this one are not offered, so asking for them only warns.
needs <- Filter(function(p) !requireNamespace(p, quietly = TRUE),
                unique(unlist(lapply(fetched, `[[`, "needs"))))
wanted <- setdiff(intersect(union(packages, needs), rownames(offered)), names(archived))
cores <- max(1L, min(2L, parallel::detectCores()), na.rm = TRUE)
if (length(wanted)) install.packages(wanted, lib = library_dir, type = "source", Ncpus = cores)
for (one in fetched) install.packages(one$file, lib = library_dir, repos = NULL, type = "source")
