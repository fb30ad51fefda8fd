"""A stand-in for a 3CX version 20, made from the vendor's OpenAPI file: `pbx` what it holds and answers, `odata` the
questions that it takes, `server` its HTTPS. It refuses what OData and 3CX's schema refuse, and tells every password to
whoever asks without naming fields. What the file does not say (statuses of refusals, how text is compared) is ASP.NET's
OData as it is documented, not a live system's."""
