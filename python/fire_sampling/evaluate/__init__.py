"""`python -m fire_sampling.evaluate`: n samples a prompt, plain beside FIRE, and their difference.

docs/evaluate.md has every option and what the numbers mean. Needs `fire-sampling[evaluate]`.

`prompts`       prompts from a jsonl file, each with its judge
`lm_eval_tasks` prompts from a task of lm-evaluation-harness, judged by its filters and its metric
`judges`        the answer in a completion, and whether it is right
`backends`      what is asked of who draws: `transformers_backend`, `vllm_backend`
`samples_file`  every sample, written prompt by prompt, and where a run goes on after a kill
`summary`       pass@k, different answers, first tokens and speed, with paired intervals
`branch_table`  what every first-token design would give, from one run
`picture`       the same as one SVG
"""
