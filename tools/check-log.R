# Judges the log of R CMD check:  Rscript tools/check-log.R <00check.log> <check-notes.txt>
# Passes if there is no error, no warning, and every line of every note matches an entry of the list.
argv <- commandArgs(trailingOnly = TRUE)
log <- readLines(argv[1], encoding = "UTF-8")
accepted <- read.dcf(argv[2], fields = c("Check", "Lines", "Reason"), keep.white = "Lines")

if (anyNA(accepted) || any(!nzchar(accepted))) {
  stop("each entry of ", argv[2], " needs the fields Check, Lines and Reason")
}

# A check is a line that starts with "* " and what is indented or said below it.
start <- grep("^\\* ", log)
end <- c(start[-1] - 1L, length(log))
blocks <- Map(function(from, to) log[from:to], start, end)
outcome_at_end <- "(^|[. ])(OK|NOTE|WARNING|ERROR|FAILED|NONE|SKIPPED)\\s*$"

# The outcome stands at the end of the first line, or alone on a later one ("[3s/4s] OK").
outcome <- function(block) {
  if (grepl(outcome_at_end, block[1])) return(sub(paste0(".*", outcome_at_end), "\\2", block[1]))
  later <- grep("^\\s*(\\[[^]]*\\]\\s*)?(OK|NOTE|WARNING|ERROR|FAILED)\\s*$", block, value = TRUE)
  if (length(later)) sub(".*(OK|NOTE|WARNING|ERROR|FAILED)\\s*$", "\\1", later[length(later)]) else ""
}
outcomes <- vapply(blocks, outcome, "")
title <- function(block) sub("^\\* ", "", sub("\\s*\\.\\.\\..*$", "", block[1]))

body <- function(block) {
  lines <- block[-1]
  lines <- lines[!grepl("^\\s*(\\[[^]]*\\]\\s*)?(NOTE)?\\s*$", lines)]
  lines[!grepl("^Status:", lines)]
}
is_accepted <- function(block) {
  for (i in which(accepted[, "Check"] == title(block))) {
    patterns <- trimws(strsplit(accepted[i, "Lines"], "\n")[[1]])
    patterns <- patterns[nzchar(patterns)]
    lines <- trimws(body(block))
    ok <- vapply(lines, function(l) any(vapply(patterns, grepl, NA, x = l, perl = TRUE)), NA)
    if (all(ok)) return(TRUE)
  }
  FALSE
}

bad <- blocks[outcomes %in% c("ERROR", "FAILED", "WARNING")]
notes <- blocks[outcomes == "NOTE"]
known <- vapply(notes, is_accepted, NA)

show <- function(block) writeLines(c(block, ""))
for (block in bad) show(block)
for (block in notes[!known]) {
  show(block)
  cat("^ this note is not in tools/check-notes.txt\n\n")
}

# The log's own summary guards against a check that was cut short or a block that was misread.
status <- grep("^Status:", log, value = TRUE)
said <- function(word) {
  found <- regmatches(status, regexpr(paste0("[0-9]+(?= ", word, ")"), status, perl = TRUE))
  if (length(found)) as.integer(found) else 0L
}
complete <- length(status) == 1L
if (!complete) cat("R CMD check did not come to its end:\n", tail(log, 5), sep = "\n")
agrees <- complete && said("NOTE") == length(notes) && said("ERROR") + said("WARNING") == length(bad)
if (complete && !agrees) cat("the log's summary disagrees with what was read from it:", status, "\n")

cat(sprintf("R CMD check: %d errors, %d warnings, %d notes (%d of them listed)\n",
            sum(outcomes %in% c("ERROR", "FAILED")), sum(outcomes == "WARNING"), length(notes), sum(known)))
quit(status = as.integer(length(bad) > 0 || !all(known) || !agrees))
