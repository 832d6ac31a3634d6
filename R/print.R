# Pieces that every print method shares: titles, calls, numbers, small tables, convergence lines.

# Numbers for reading: `digits` significant ones, never fewer than the integer part needs.
format_number <- function(x, digits = max(3L, getOption("digits") - 3L)) {
  text <- format(signif(x, digits), digits = digits, trim = TRUE)
  text[is.na(x)] <- "-"
  text
}

# One number per element, each to `digits` significant digits with trailing zeros (for tables whose
# rows differ in magnitude).
format_each <- function(x, digits = max(3L, getOption("digits") - 3L)) {
  size <- abs(x)
  plain <- is.na(x) | size == 0 | (size >= 1e-4 & size < 1e6)
  text <- character(length(x))
  text[plain] <- formatC(x[plain], digits = digits, format = "fg", flag = "#")
  text[!plain] <- formatC(x[!plain], digits = digits - 1L, format = "e")
  text <- sub("\\.$", "", trimws(text))
  text[x == 0] <- "0"
  text[is.na(x)] <- "-"
  text
}

# Log-likelihoods and criteria: two decimals, which is what differences are judged by.
format_loglik <- function(x) {
  ifelse(is.na(x), "-", formatC(x, format = "f", digits = 2, big.mark = ""))
}

# p-values as `= 0.013` or `< 0.001`, ready to follow a `p`.
format_p_value <- function(p, smallest = 0.001) {
  ifelse(p < smallest, paste("<", format(smallest)), paste("=", format(round(p, 3), nsmall = 3)))
}

# `n` with its noun: "1 component", "3 components".
count_of <- function(n, noun, plural = paste0(noun, "s")) {
  paste(format(n, big.mark = ",", scientific = FALSE, trim = TRUE), if (n == 1) noun else plural)
}

# "a, b, c and 7 more".
abbreviate_list <- function(x, most = 6L) {
  if (length(x) <= most + 1L) {
    return(paste(x, collapse = ", "))
  }
  paste0(paste(x[seq_len(most)], collapse = ", "), " and ", length(x) - most, " more")
}

# The call on at most `lines` lines of the console's width.
format_call <- function(call, lines = 2L, width = getOption("width")) {
  # a call made by do.call() can hold the data themselves: a few lines of it are enough
  text <- deparse(call, width.cutoff = min(500L, max(20L, width - 5L)), nlines = 4L * lines)
  text <- trimws(text)
  text <- strwrap(paste(text, collapse = " "), width = width, exdent = 2)
  if (length(text) > lines) {
    text <- text[seq_len(lines)]
    text[lines] <- paste0(substr(text[lines], 1, width - 5L), " ...")
  }
  text
}

# Prints a character matrix as a table: row names left-aligned, cells right-aligned.
print_table <- function(table, indent = 1L) {
  cells <- rbind(colnames(table), table)
  labels <- c("", rownames(table))
  columns <- lapply(seq_len(ncol(cells)), function(j) pad_left(cells[, j]))
  left <- if (is.null(rownames(table))) NULL else list(pad_right(labels))
  lines <- sub(" +$", "", do.call(paste, c(left, columns, sep = "  ")))
  cat(paste0(strrep(" ", indent), lines, "\n"), sep = "")
}

# Pads to equal display width (formatC counts bytes for some locales, so this is by hand).
pad_left <- function(x) {
  paste0(strrep(" ", max(nchar(x, "width")) - nchar(x, "width")), x)
}
pad_right <- function(x) {
  paste0(x, strrep(" ", max(nchar(x, "width")) - nchar(x, "width")))
}

# How many columns of a character matrix fit the console after `used` characters.
columns_that_fit <- function(table, used, width = getOption("width")) {
  widths <- apply(rbind(colnames(table), table), 2, function(x) max(nchar(x, "width"))) + 2L
  max(1L, sum(used + cumsum(widths) <= width - 6L))
}

# One plain sentence on how the algorithm ended.
convergence_line <- function(fit) {
  iterations <- count_of(fit$iterations, "iteration")
  line <- switch(fit$status,
    converged = paste0("Converged after ", iterations),
    max_iter = paste0("NOT CONVERGED: stopped at the limit of ", iterations),
    degenerate = paste0("DEGENERATE after ", iterations),
    non_monotone = paste0("STOPPED after ", iterations, ": the objective fell"),
    interrupted = paste0("INTERRUPTED after ", iterations),
    paste0("FAILED after ", iterations)
  )
  agree <- starts_that_agree(fit)
  if (!is.null(agree) && agree$n > 1) {
    line <- paste0(line, "; ", agree$best, " of ", agree$n, if (agree$screened) " polished",
                   " starts agree")
  }
  paste0(line, ".")
}

# How many starts were run to the end (`n`), reached the best optimum (`best`), and were dropped
# after a short run (`screened`); or NULL.
starts_that_agree <- function(fit) {
  if (is.null(fit$starts) || !NROW(fit$starts)) {
    return(NULL)
  }
  screened <- sum(fit$starts$status == "screened")
  list(n = nrow(fit$starts) - screened, best = sum(fit$starts$best, na.rm = TRUE),
       screened = screened)
}
