"""Yeastar P-Series over its OpenAPI (HTTPS, `/openapi/v1.0`): Appliance, Software and Cloud Edition.

Reading order: `requests` (all that can be sent), `answers` (what is kept of what comes), `link` (token and outcome),
`people` and `numbers` (rows to persons), `connector`.
"""
