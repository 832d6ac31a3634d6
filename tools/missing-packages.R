# Prints the R packages that a profile needs and that cannot be loaded, one per line:
#   Rscript tools/missing-packages.R <checkout> <demo|test|ci> <required|optional> <file of names tried>
# DESCRIPTION says which packages and versions; only what a profile adds is listed here.
argv <- commandArgs(trailingOnly = TRUE)
root <- argv[1]
profile <- argv[2]
kind <- argv[3]
tried <- if (file.exists(argv[4])) readLines(argv[4]) else character()

description <- read.dcf(file.path(root, "DESCRIPTION"))[1, ]

# A field of DESCRIPTION as a named vector: least version (or NA) by package.
field <- function(name) {
  if (is.na(description[name])) return(character())
  entry <- trimws(strsplit(description[[name]], ",")[[1]])
  entry <- entry[nzchar(entry)]
  version <- ifelse(grepl("(>=", entry, fixed = TRUE), sub(".*>=\\s*([0-9.-]+).*", "\\1", entry), NA)
  stats::setNames(version, sub("\\s*\\(.*", "", entry))
}

core <- c(field("Imports"), field("LinkingTo"))
core <- core[!duplicated(names(core))]
suggested <- field("Suggests")
documents <- c("knitr", "rmarkdown")

required <- switch(profile,
  demo = core,
  test = c(core, suggested["testthat"]),
  ci = c(core, suggested["testthat"], suggested[documents])
)
optional <- switch(profile,
  demo = character(),
  suggested[setdiff(names(suggested), c(names(required), documents))]
)

# Loading, not finding, is the question: a package may be there and yet be broken.
usable <- function(package, version) {
  ok <- suppressWarnings(suppressMessages(requireNamespace(package, quietly = TRUE)))
  ok && (is.na(version) || utils::packageVersion(package) >= version)
}
wanted <- switch(kind, required = required, optional = optional[!names(optional) %in% tried])
for (package in names(wanted)) {
  if (!usable(package, wanted[[package]])) cat(package, "\n", sep = "")
}
