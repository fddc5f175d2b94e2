"""The distributed run: the log as a topic of Apache Kafka, and the processes around it. The only place that imports its
client library.
"""
