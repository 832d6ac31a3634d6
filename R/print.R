# Pieces that every print method shares: titles, calls, numbers, small tables, convergence lines.

# Numbers of one column: the same decimals in all, `digits` significant digits in the smallest. They
# are rounded once, here: to round first and pad afterwards prints zeros that are not there.
format_number <- function(x, digits = max(3L, getOption("digits") - 3L)) {
  text <- format(x, digits = digits, trim = TRUE)
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

# Numbers that belong to one uncertain quantity: as many decimals as show its standard error `se`
# to `digits` significant digits.
format_to_error <- function(x, se, digits = 3L) {
  decimals <- digits - 1L - floor(log10(se))
  if (!is.finite(decimals) || decimals > 8 || any(abs(x) >= 1e7, na.rm = TRUE)) {
    return(format_each(x, digits))
  }
  text <- formatC(x, digits = max(0, decimals), format = "f")
  # no sign for what rounds to zero
  text <- sub("^-(0\\.?0*)$", "\\1", text)
  text[is.na(x)] <- "-"
  text
}

# A gain of the objective, which below its rounding error says no more than that.
format_gain <- function(gain, objective, digits = 2L) {
  rounding <- 64 * .Machine$double.eps * (1 + abs(objective))
  if (is.na(gain)) {
    "unknown"
  } else if (abs(gain) <= rounding) {
    "below rounding"
  } else {
    format_number(gain, digits)
  }
}

# Log-likelihoods and criteria: two decimals, which is what differences are judged by.
format_loglik <- function(x, decimals = 2L) {
  # no -0.00
  ifelse(is.na(x), "-", formatC(round(x, decimals) + 0, format = "f", digits = decimals, big.mark = ""))
}

# p-values as `= 0.013` or `< 0.001`, ready to follow a `p`.
format_p_value <- function(p, smallest = 0.001) {
  ifelse(p < smallest, paste("<", format(smallest)), paste("=", format(round(p, 3), nsmall = 3)))
}

# Whole numbers: "1,234".
format_count <- function(n) formatC(n, format = "d", big.mark = ",")

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

# The call on at most `lines` lines of the console's width, broken after commas where that can be.
format_call <- function(call, lines = 2L, width = getOption("width")) {
  # a call made by do.call() can hold the data themselves: a few lines of it are enough
  text <- deparse(call, width.cutoff = min(500L, max(20L, width - 5L)), nlines = 4L * lines)
  text <- wrap_arguments(paste(trimws(text), collapse = " "), width)
  if (length(text) > lines) {
    text <- text[seq_len(lines)]
    text[lines] <- paste0(substr(text[lines], 1, width - 5L), " ...")
  }
  text
}

# Lines of at most `width` characters, all but the first indented: broken after commas, or at any blank in arguments
# that are longer than a line.
wrap_arguments <- function(text, width) {
  pieces <- paste0(split_arguments(text), " ")
  lines <- ""
  for (piece in pieces) {
    joined <- paste0(lines[1L], piece)
    if (nchar(trimws(joined, "right"), "width") < width) {
      lines[1L] <- joined
      next
    }
    if (nchar(trimws(piece), "width") + 2L < width) {
      lines <- c(paste0("  ", piece), lines)
      next
    }
    first <- if (length(lines) == 1L) 0L else 2L
    lines <- c(rev(paste0(strwrap(trimws(joined), width, indent = first, exdent = 2L), " ")), lines[-1L])
  }
  lines <- trimws(rev(lines), "right")
  lines[nzchar(lines)]
}

# The text cut after each comma and blank outside of quotes.
split_arguments <- function(text) {
  letters <- strsplit(text, "", fixed = TRUE)[[1L]]
  quote <- ""
  cuts <- integer()
  for (i in seq_along(letters)) {
    one <- letters[i]
    escaped <- i > 1L && letters[i - 1L] == "\\"
    if (one %in% c("\"", "'", "`") && !escaped) {
      if (quote == "") quote <- one else if (quote == one) quote <- ""
    }
    if (one == " " && quote == "" && i > 1L && letters[i - 1L] == ",") cuts <- c(cuts, i)
  }
  trimws(substring(text, c(1L, cuts + 1L), c(cuts, nchar(text))))
}

# Prints a character matrix as a table.
print_table <- function(table, indent = 1L) {
  cat(paste0(table_lines(table, indent), "\n"), sep = "")
}

# The lines of a table: row names left-aligned and cut where the table would be wider than the
# console, cells right-aligned.
table_lines <- function(table, indent = 1L, width = getOption("width")) {
  cells <- rbind(colnames(table), table)
  columns <- lapply(seq_len(ncol(cells)), function(j) pad_left(cells[, j]))
  left <- NULL
  if (!is.null(rownames(table))) {
    used <- indent + sum(vapply(columns, function(column) nchar(column[1], "width") + 2L, 0))
    left <- list(pad_right(c("", cut_middle(rownames(table), max(8L, width - used)))))
  }
  paste0(strrep(" ", indent), sub(" +$", "", do.call(paste, c(left, columns, sep = "  "))))
}

# Cuts long names in the middle, as what tells them apart is often at the end.
cut_middle <- function(x, most) {
  long <- nchar(x, "width") > most
  tail <- (most - 2L) %/% 2L
  n <- nchar(x[long])
  x[long] <- paste0(substr(x[long], 1L, most - 2L - tail), "..", substr(x[long], n - tail + 1L, n))
  x
}

# Pads to equal display width (formatC counts bytes for some locales, so this is by hand).
pad_left <- function(x) {
  paste0(strrep(" ", max(nchar(x, "width")) - nchar(x, "width")), x)
}
pad_right <- function(x) {
  paste0(x, strrep(" ", max(nchar(x, "width")) - nchar(x, "width")))
}

# How many columns of a character matrix fit the console beside its row names.
columns_that_fit <- function(table, width = getOption("width")) {
  widths <- apply(rbind(colnames(table), table), 2, function(x) max(nchar(x, "width"))) + 2L
  max(1L, sum(1L + max(nchar(rownames(table), "width")) + cumsum(widths) <= width))
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
  if (!is.null(agree) && nrow(fit$starts) > 1) {
    line <- paste0(line, "; ", agree$words)
  }
  paste0(line, ".")
}

# How many starts were run to a regular end (`n`: neither dropped after a short run nor degenerate),
# how many of them reached the best optimum (`best`), how many were dropped (`screened`) and lost
# (`lost`), and the first two in `words`; or NULL.
starts_that_agree <- function(fit) {
  if (is.null(fit$starts) || !NROW(fit$starts)) {
    return(NULL)
  }
  status <- fit$starts$status
  n <- sum(status %in% c("converged", "max_iter", "non_monotone"))
  best <- sum(fit$starts$best, na.rm = TRUE)
  list(
    n = n, best = best, screened = sum(status == "screened"),
    lost = sum(status %in% c("degenerate", "failed")),
    words = paste0(best, " of ", n, if (n < length(status)) " completed",
                   if (n == 1) " start agrees" else " starts agree")
  )
}

# Named sentences as a report: the names in a column of `width`, the texts wrapped beside it, at most `most` lines each.
print_report <- function(report, width = 15L, most = Inf) {
  for (item in names(report)) {
    lines <- strwrap(report[[item]], width = getOption("width") - width - 4L)
    if (length(lines) > most) {
      lines <- lines[seq_len(most)]
      lines[most] <- paste(lines[most], "...")
    }
    cat(paste0("  ", formatC(c(item, rep("", length(lines) - 1L)), width = -width), lines, "\n"), sep = "")
  }
}
