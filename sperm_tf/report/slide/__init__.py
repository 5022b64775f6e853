"""The report of a slide: one HTML file, and a PDF of three pages."""
