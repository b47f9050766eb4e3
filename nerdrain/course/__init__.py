"""Bundle, check and grade the assignments of a course on this package."""
