"""The mocks of simulated histories."""

import json

RETRIES = 60

TIMES = 3

_JOB = f"""    job: {{id: "{{{{ request.json.id }}}}", idempotency_key: "{{{{ request.json.key }}}}"}}
    response: {{json: {{id: "{{{{ job.id }}}}"}}}}
    webhook:
      to: "http://sut.test/{{{{ job.id }}}}"
      event: "{{{{ job.status }}}}"
      headers: {{event: "{{{{ job.status }}}}", attempt: "{{{{ webhook.attempt }}}}"}}
      retry: {json.dumps(["0.5s"] * RETRIES)}
"""

MOCKS = f"""
mocks:
  - match: GET api.test/jobs/{{id}}
    lookup: request.path.id
    response: {{json: {{id: "{{{{ job.id }}}}"}}}}
  - match: POST api.test/limited
    times: {TIMES}
    response: {{json: {{}}}}
  - match: POST api.test/jobs
{_JOB}    stages:
      - {{after: "{{{{ request.json.after }}}}", status: "0", webhook: true}}
      - {{after: "{{{{ request.json.after * 2 }}}}", status: "1", webhook: true}}
  - match: POST api.test/chains
{_JOB}    stages:
      - {{after: "{{{{ request.json.after }}}}", status: "0", webhook: true}}
      - {{after: {{ended: "0", plus: 0.2s}}, status: "1", webhook: true}}
"""

ADDED = "mocks: [{match: POST HOST/jobs, response: {json: {}}}]"
