/* A folder for what a test writes. */
#ifndef TESTS_SUPPORT_TEMP_FOLDER_H
#define TESTS_SUPPORT_TEMP_FOLDER_H

/* The path of a folder that only this process uses, made empty by the first call. It goes with all
 * that is in it when the process ends, also where a check failed. */
const char *temp_folder(void);

#endif
