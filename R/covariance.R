# R's side of the registry of covariance structures; codes and words come from src/registry_covariance.cpp.

covariance_aliases <- c(full = "VVV", tied = "EEE", diagonal = "VVI", spherical = "VII", factor = "UUU")

# The registry as a data frame, made once: that takes as long as a small fit, and it never changes.
covariance_registry <- local({
  made <- NULL
  function() {
    if (is.null(made)) made <<- covariance_registry_()
    made
  }
})

# The codes for one variable, or for several: those of volume, shape and orientation.
covariance_codes <- function(d) {
  registry <- covariance_registry()
  registry$code[registry$n_variables == (if (d == 1L) "one" else "many") & !registry$factors]
}

# The codes of the structures with factors (mixtures of factor analysers).
factor_codes <- function() {
  registry <- covariance_registry()
  registry$code[registry$factors]
}

has_factors <- function(code) code %in% factor_codes()

# Codes from what a user wrote: codes in any case, aliases, "all" (of volume, shape and orientation), "PGMM" (all with
# factors, unless `factors` is FALSE). For one variable a code of several stands for its first letter, E or V.
resolve_covariance <- function(covariance, d, factors = TRUE) {
  choices <- covariance_codes(d)
  if (!is.character(covariance) || length(covariance) == 0L || anyNA(covariance)) {
    check_fails("covariance", "names of covariance structures", covariance, "covariance")
  }
  if (identical(tolower(covariance), "all")) return(choices)
  codes <- covariance
  alias <- match(tolower(codes), names(covariance_aliases))
  codes[!is.na(alias)] <- covariance_aliases[alias[!is.na(alias)]]
  # chartr and not toupper: the case of i must not depend on the locale.
  codes <- chartr("eivcu", "EIVCU", codes)
  codes <- unlist(lapply(seq_along(codes), function(i) {
    switch(tolower(covariance[i]), all = choices, pgmm = factor_codes(), codes[i])
  }))
  asked <- intersect(codes, factor_codes())
  if (length(asked) > 0L && !factors) {
    em_abort(sprintf("`covariance` is %s, factor analysers, which em_gmm() has and responses have not. The choices are %s.",
                     asked[1L], paste(choices, collapse = ", ")), "covariance", choices = choices)
  }
  if (length(asked) > 0L && d < 3L) {
    em_abort(sprintf("`covariance` is %s, factor analysers, which need at least 3 variables, not %d.", asked[1L], d),
             "covariance")
  }
  if (factors && d > 2L) choices <- c(choices, factor_codes())
  many <- covariance_codes(2L)
  if (d == 1L) codes[codes %in% many] <- substr(codes[codes %in% many], 1L, 1L)
  unknown <- which(!codes %in% choices)
  if (length(unknown) > 0L) {
    em_abort(
      sprintf("`covariance` does not know %s%s. The choices are %s, %s and \"all\"%s.",
              dQuote(covariance[unknown[1L]], FALSE),
              if (d == 1L) " for one variable" else if (codes[unknown[1L]] %in% c("E", "V")) {
                ", which is for one variable"
              } else "",
              paste(choices, collapse = ", "),
              paste(dQuote(names(covariance_aliases)[covariance_aliases %in% c(many, choices)], FALSE), collapse = ", "),
              if (factors && d > 2L) " or \"PGMM\"" else ""),
      "covariance", choices = choices
    )
  }
  unique(codes)
}

# Volume, shape and orientation of a code ("E", "V" or "I" each; one variable has only a volume), or NULL for a structure
# that is not made of these three.
covariance_letters <- function(code) {
  if (!grepl("^[EV]([EVI]I|[EV][EV])?$", code)) return(NULL)
  letters <- strsplit(paste0(code, "II"), "")[[1L]][1:3]
  stats::setNames(letters, c("volume", "shape", "orientation"))
}

# What a structure needs of the scatter: "pooled diagonal", "pooled", "diagonal" or "full".
covariance_level <- function(code) {
  registry <- covariance_registry()
  registry$level[match(code, registry$code)]
}

# How a code with its number of factors is called in tables and plots.
covariance_label <- function(code, n_factors) {
  if (is.null(n_factors)) return(code)
  ifelse(is.na(n_factors), code, paste0(code, ", q = ", n_factors))
}

# Codes in words (one code where `n_components` is 1).
describe_covariance <- function(code, n_components = 2L, n_factors = NULL) {
  registry <- covariance_registry()
  words <- registry$description[match(code, registry$code)]
  # One component has nothing to be equal to.
  if (n_components == 1L && !is.null(letters <- covariance_letters(code))) {
    words <- if (nchar(code) == 1L) "one variance" else if (letters[["shape"]] == "I") "spherical" else
      if (letters[["orientation"]] == "I") "diagonal" else "ellipsoidal"
  }
  if (has_factors(code[1L])) {
    if (n_components == 1L) words <- sub(", (equal|varying) loadings.*", "", words)
    count <- if (!is.null(n_factors)) sprintf(", %d factor%s", n_factors, if (n_factors == 1L) "" else "s") else ""
    words <- sub("factor analysers", paste0("factor analysers", count), words)
  }
  sprintf("%s (%s)", code, words)
}
