"""OpenAPI documents for tests: of a service that transcribes, and of a shop with webhooks."""

TRANSCRIBE = """
openapi: 3.1.0
info: {title: Transcribe, version: 1.0.0}
servers: [{url: https://api.slow.example/v2}, {url: https://eu.slow.example/v2}]
paths:
  /transcript:
    post:
      operationId: createTranscript
      requestBody:
        required: true
        content:
          application/json:
            schema:
              type: object
              required: [audio_url]
              properties:
                audio_url: {type: string, format: uri}
                webhook_url: {type: string}
                language: {type: string, default: en}
                words: {type: integer}
      responses:
        "200":
          description: queued
          content: {application/json: {schema: {$ref: "#/components/schemas/Transcript"}}}
        "400":
          description: wrong
          content: {application/json: {example: {error: "audio_url is missing"}}}
      callbacks:
        ready:
          "{$request.body#/webhook_url}":
            post:
              requestBody:
                content: {application/json: {schema: {$ref: "#/components/schemas/Ready"}}}
              responses: {"204": {description: fine}}
        redacted:
          "{$request.body#/webhook_url}/redacted":
            post:
              requestBody: {content: {application/json: {example: {redacted: true}}}}
  /transcript/{transcript_id}:
    parameters: [{name: transcript_id, in: path, required: true, schema: {type: string}}]
    get:
      responses:
        "200": {content: {application/json: {schema: {$ref: "#/components/schemas/Transcript"}}}}
    delete:
      responses: {"204": {description: gone}}
  /languages:
    get:
      responses:
        "200": {content: {application/json: {example: {no: Norsk, "{{ x }}": "{% raw %}", since: 2020-01-01, price: 10.00}}}}
components:
  schemas:
    Transcript:
      type: object
      required: [id, status]
      properties:
        id: {type: string, examples: [tr_8Kx2mQ7pL0vN4tRw]}
        status: {type: string, enum: [completed, queued, processing, error], example: completed}
        language: {type: string}
        text: {type: [string, "null"]}
        created: {type: string, format: date-time}
        parent: {$ref: "#/components/schemas/Transcript"}
        parts: {type: array, items: {$ref: "#/components/schemas/Transcript"}}
    Ready:
      allOf:
        - {type: object, properties: {transcript_id: {type: string}}}
        - {type: object, properties: {status: {type: string, enum: [queued, processing, completed, error]}}}
"""

SHOP = """
openapi: 3.0.3
servers: [{url: "{apiRoot}/shop/v1", variables: {apiRoot: {}}}]
paths:
  /orders:
    post:
      requestBody: {content: {application/x-www-form-urlencoded: {schema: {properties: {reference: {type: string}, notify_url: {type: string}}}}}}
      responses: {201: {content: {application/json: {example: {id: 17, reference: r-1, total: 10.50}}}}}
x-webhooks:
  order.paid:
    post:
      requestBody: {content: {application/json: {example: {type: order.paid, id: evt_1, data: {id: 17, reference: r-1}}}}}
  order.shipped:
    put: {parameters: [{name: X-Shop, in: header, required: true, schema: {type: string, example: a}}]}
"""
